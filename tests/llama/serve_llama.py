"""llama.cpp's own server on a model of random weights, made here: `python serve_llama.py FOLDER`.

It talks nonsense, letter by letter, at the speed of the machine; to a schema it keeps as any model.
Needs the packages xllamacpp and gguf; see `make test-llama`.
"""

import json
import sys
import time
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 4, 128, 8_192
BYTES = [f"<0x{number:02X}>".encode() for number in range(256)]
LETTERS = ["▁".encode(), *(bytes([number]) for number in range(33, 127))]  # a space, and the rest
TOKENS = [b"<unk>", b"<s>", b"</s>", *BYTES, *LETTERS]
KINDS = [2, 3, 3, *[6] * len(BYTES), *[1] * len(LETTERS)]  # unknown, control, byte, normal


def make(path: Path) -> None:
    """A model of the llama family: half a megabyte, always the same."""
    writer, chance = gguf.GGUFWriter(path, "llama"), np.random.default_rng(1)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types(KINDS)
    writer.add_add_space_prefix(False)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    wide, inner = (WIDTH, WIDTH), {"gate": (INNER, WIDTH), "up": (INNER, WIDTH)}
    inner["down"] = (WIDTH, INNER)
    shapes = {"token_embd": (len(TOKENS), WIDTH), "output": (len(TOKENS), WIDTH)}
    ones = ["output_norm"]
    for layer in (f"blk.{n}" for n in range(LAYERS)):
        shapes |= {f"{layer}.attn_{part}": wide for part in ("q", "k", "v", "output")}
        shapes |= {f"{layer}.ffn_{part}": shape for part, shape in inner.items()}
        ones += [f"{layer}.attn_norm", f"{layer}.ffn_norm"]
    for name, shape in shapes.items():
        values = chance.normal(0, 0.3, shape).astype(np.float32)
        if name == "output":
            values[: -len(LETTERS)] = 0  # it speaks in letters, and hardly ever comes to an end
        writer.add_tensor(f"{name}.weight", values)
    for name in ones:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Serve until it is ended; the first line says where."""
    model = Path(sys.argv[1]) / "random.gguf"
    make(model)
    about = xllamacpp.CommonParams()
    about.model.path = str(model)
    about.n_ctx, about.n_parallel, about.port, about.use_jinja = CONTEXT, 1, 0, True
    about.endpoint_props = True
    server = xllamacpp.Server(about)
    print(json.dumps({"url": server.listening_address}), flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
