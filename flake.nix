# nix run, nix develop: see docs/install.md.
#
# A Nix build has no network, so the browser's files must be inside: start from the source
# distribution (make dist), not from a checkout. The Python packages are those of requirements.lock,
# each checked by its hash; the program fetches them when it is started for the first time.
{
  description = "Pipulate: a local-first workspace of small apps, guided pipelines and a model";

  inputs.nixpkgs.url = "nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      inherit ((builtins.fromTOML (builtins.readFile ./pyproject.toml)).project) version;
      # without x86_64-darwin: nixpkgs has dropped it, and naming it breaks `nix flake show`
      systems = [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ];
      forEach = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      isLinux = pkgs: pkgs.stdenv.hostPlatform.isLinux;
      # What wheels from elsewhere look for outside of Nix. A Python with this file in its
      # site-packages loads it as it starts. LD_LIBRARY_PATH would reach the browser, which brings
      # its own, and would not reach a process that is given an environment of its own.
      libraries = pkgs: pkgs.writeText "libraries.pth" (lib.optionalString (isLinux pkgs) ''
        import ctypes; ctypes.CDLL("${pkgs.stdenv.cc.cc.lib}/lib/libstdc++.so.6")
        import ctypes; ctypes.CDLL("${pkgs.zlib}/lib/libz.so.1")
      '');
    in
    {
      packages = forEach (pkgs: rec {
        wheel = pkgs.stdenv.mkDerivation {
          pname = "pipulate-wheel";
          inherit version;
          src = self;
          nativeBuildInputs = [ (pkgs.python3.withPackages (packages: [ packages.hatchling ])) ];
          buildPhase = ''
            if ! test -f src/pipulate/web/assets/htmx.min.js; then
              echo "The browser's files are missing. Run make dist, unpack the .tar.gz it leaves in dist/,"
              echo "and there: nix run path:."
              exit 1
            fi
            python3 -m hatchling build -t wheel -d "$out"
          '';
          dontInstall = true;
        };

        default = pkgs.writeShellApplication {
          name = "pipulate";
          runtimeInputs = [ pkgs.python3 ];
          text = ''
            at="''${XDG_DATA_HOME:-$HOME/.local/share}/pipulate/${baseNameOf wheel}"
            if ! test -e "$at/ready"; then
              echo "Setting up $at (once; about a minute) ..." >&2
              rm -rf "$at"
              python3 -m venv "$at"
              cp ${libraries pkgs} "$at"/lib/python3*/site-packages/
              "$at/bin/python" -m pip install -qq --require-hashes -r ${./requirements.lock}
              "$at/bin/python" -m pip install -qq --no-deps --no-index ${wheel}/*.whl
              touch "$at/ready"
            fi
            exec "$at/bin/pipulate" "$@"
          '';
        };
      });

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          packages = [ pkgs.python3 pkgs.gnumake pkgs.nodejs ]
            ++ lib.optional (isLinux pkgs) pkgs.chromium;
          # the Node inside playwright does not start on NixOS
          env.PLAYWRIGHT_NODEJS_PATH = "${pkgs.nodejs}/bin/node";
          # in a checkout: the environment that make would make, with the libraries
          shellHook = ''
            if test -f requirements-dev.lock && make -s .venv/bin/python &&
                [[ $(readlink -f .venv/bin/python) = ${builtins.storeDir}/* ]]; then
              for at in .venv/lib/python3*/site-packages; do
                cp -f ${libraries pkgs} "$at/libraries.pth"
              done
            fi
          '';
        };
      });
    };
}
