"""The look, on top of Pico CSS: calm and dense. The script is in script.py."""

import re

THEME = """
:root{--pico-font-size:15px;--pico-spacing:.75rem;--pico-form-element-spacing-vertical:.3rem;
  --pico-form-element-spacing-horizontal:.6rem;--pico-line-height:1.45;
  --pico-border-radius:.4rem;--edge:1px solid var(--pico-muted-border-color);
  --muted:var(--pico-muted-color);--card:var(--pico-card-background-color);
  --soft:var(--pico-card-sectioning-background-color);
  --bad:var(--pico-del-color);--ink:var(--pico-color);--link:var(--pico-primary)}
@media (prefers-color-scheme:dark){ /* Pico's own are a shade too near to what lies below */
  :root:not([data-theme]){--pico-muted-color:#8f97a8;--pico-primary-hover-background:#016499}}

/* everywhere: whatever holds things says how far they are apart, they themselves do not */
body :is(h1,h2,p,ul,label,form,fieldset,details,article),
  body :is(input:not([type=checkbox]),select,textarea,small,[role=search],[type=submit],
    [type=button]){margin:0}
body :is(button,[type=submit]){width:auto}
h1{font-size:1.5rem}
h2{font-size:1.05rem}
body *+h2{margin-top:1.2rem}
body *+:is(p,form){margin-top:.3rem}
:focus-visible{outline:2px solid var(--link)}
a:is(nav *,.cards *,th *),.diff ins{text-decoration:none}
pre{padding:.5rem;max-height:22rem;white-space:pre-wrap}
.beside textarea,pre{font-family:var(--pico-font-family-monospace);font-size:.9em}
.head p,.empty,.hint,.computed,.pen,.none,.actions button,.pager,.badge,.step.blocked :is(h2,p),
  legend,.runs span,.undone span,.cards p,:is(.log,.diff) :is(small,time,dt){color:var(--muted)}
.broken,.error,.actions button:is(:hover,:focus){color:var(--bad)}
[aria-current],.msg.user,#offers [aria-selected=true]{background:var(--pico-primary-background);
  color:var(--pico-primary-inverse)}
.sr{position:absolute;left:-99rem}
body .empty{margin:.8rem 0}
button:is(.cell,.link){background:none;border:0;padding:.25rem;text-align:left;box-shadow:none;
  color:inherit;--pico-color:inherit}

/* what stands in a line, and what stands below one another */
.head,.bar,#state,#bulk,.slider,.boxes,.pager,.step header,.step form,.inline,#filter,#say,.notice,
  .sends,.tools,.tools details>div,.approval,
  :is(.runs,.events,.log,.bar) li{display:flex;gap:.6rem;align-items:center;flex-wrap:wrap}
.head,.pager,.step header,.bar li{justify-content:space-between}
:is(.bar,.inline,#bulk,#filter,#import) :is(input:not([type=checkbox]),select){width:auto}
:is(body>nav,.bar) :is(summary,summary:focus,button,[role=button],[type=search]),#filter>*{
  height:2.2rem;padding-block:.25rem;line-height:1.6rem}
:is(body>nav,.bar) :is(summary,button,[role=button]){padding-inline:.7rem}
.head{margin-bottom:.8rem}
.add,#import form,#check,.beside form,.edit.whole,.cards{display:grid;gap:.6rem .8rem}
.add label>span:not(.slider){display:grid}
:is(.add,.beside,.edit,#import) button{justify-self:start}
:is(.edit,.step) [role=switch]{margin-left:.5rem}

/* the frame: navigation above, main column, chat beside it */
body{display:grid;grid-template:auto 1fr/minmax(0,1fr) 23rem;min-height:100vh}
body.folded{grid-template-columns:minmax(0,1fr) 0}
body.folded #chat{display:none}
body>nav{grid-column:1/-1;padding:.3rem 1rem;height:3.2rem;border-bottom:var(--edge);
  position:sticky;top:0;z-index:5;gap:.8rem;align-items:center;
  background:var(--pico-background-color)}
body>nav>:is([role=search],details,button){flex:none}
.menu,.apps{display:flex;min-width:0;white-space:nowrap}
.menu{flex:1;gap:.4rem;align-items:center}
.apps{overflow-x:auto;scrollbar-width:none}
.menu details{flex:none}
body .dropdown button.link{padding:0;height:auto}
.menu a{padding:.25rem .6rem;border-radius:.4rem}
.menu a:not([aria-current],.broken){color:inherit}
body>nav>[role=search]{width:11rem}
main{padding:1rem 1.4rem 4rem;max-width:76rem;width:100%}

/* lists of rows */
.add{align-items:end;padding:.7rem;border:var(--edge);border-radius:.5rem;
  grid-template-columns:repeat(auto-fill,minmax(11rem,1fr))}
.add label:has(textarea){grid-row:span 2}
.add:has(.error){align-items:start}
.add:has(.error)>button{margin-top:1.45rem}
.bar{margin:.8rem 0 .3rem}
#bulk,#picked{position:sticky;bottom:0;padding:.5rem .7rem;background:var(--card);z-index:2;
  border:var(--edge);border-radius:.5rem}
#bulk-value>*{max-width:14rem}
.crud:not(:has(.rows tbody .grip :checked)) #bulk,
  .history:not(:has(.log :checked)) #picked{display:none}
.slider{flex-wrap:nowrap}
body [data-options]~:is(a,button){margin:.3rem .6rem .2rem 0}
.slider output{min-width:2ch}
.wide{overflow-x:auto}
.wide:has(tbody tr)~.empty,.rows:not(:has(tbody tr)) thead tr:first-child{display:none}
.rows{margin:0}
.rows :is(td,th){padding:.15rem .3rem}
.rows td{max-width:24rem}
.rows tr:focus{outline:2px solid var(--link);outline-offset:-2px}
.filters :is(input,select){height:1.9rem;padding:.1rem .4rem;min-width:4rem}
th a{color:inherit}
.grip,.actions{width:1%;text-align:center;white-space:nowrap}
.grip input{margin:0}
.grip button{cursor:grab;touch-action:none}
.rows:not(:has([data-sortable])) .grip button{visibility:hidden}
.number,.number button.cell{text-align:right}
body button.cell{width:100%;min-height:1.9rem;white-space:pre-wrap;overflow-wrap:break-word}
button.cell:hover{background:var(--pico-form-element-active-background-color)}
.linked{display:flex;gap:.3rem;align-items:start;justify-content:space-between}
.linked>:is(a,span),.md{padding:.25rem;overflow-wrap:break-word}
@media(hover:hover){.linked:not(:hover,:focus-within)>.pen{opacity:0}}
.linked img{max-width:6rem;max-height:3.5rem;border-radius:.2rem}
.md{max-height:14rem;overflow:auto;flex:1}
:is(.md,.msg,.output)>:last-child{margin-bottom:0}
.tag{background:var(--soft);border-radius:.6rem;padding:.05rem .5rem;margin-right:.25rem;
  display:inline-block}
.edit :is(input:not([type=checkbox]),select,textarea){min-width:6rem}
.pager{padding:.4rem 0}
.pager a+a{margin-left:1rem}
.values span+span::before{content:" · "}
.scroll{overflow:auto;max-height:30rem;margin:.5rem 0}
.data{font-size:.92em;margin:0}
.data :is(td,th){padding:.2rem .5rem}
.data td{max-width:28rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.data thead{position:sticky;top:0;background:var(--card)}
.chart svg{width:100%;max-width:40rem;font:12px sans-serif;fill:currentColor}
.chart rect{fill:var(--link)}
.beside{display:grid;grid-template-columns:minmax(0,1fr) 15rem;gap:1.2rem}
.beside form{grid-template-columns:repeat(3,max-content) 1fr}
.beside form :is(input,textarea){grid-column:1/-1}
.beside aside{font-size:.9em;overflow-wrap:anywhere}
#import>form,.manual{margin-bottom:1.2rem;max-width:60rem}

/* runs and their steps */
body:not(.ask) [data-allow],body:has(#ended)>:not(main),.gone:has(#ended)::before{display:none}
body .name input{border-color:transparent;background:none;padding-left:0;min-width:18rem}
body .name input:is(:hover,:focus){border-color:var(--pico-form-element-border-color)}
#waiting:not(:empty){background:var(--bad);color:#fff;border-radius:1rem;padding:0 .4rem;
  font-size:.8em}
.sends button{padding:.3rem .8rem}
.step form:has(>.sends>.link:only-child){padding:0}
progress::-webkit-progress-value{transition:none}
.step form:not(.question) .sends{flex-basis:100%}
.step details{margin:.2rem 0}
.step summary{line-height:1.6;width:max-content;max-width:100%;color:var(--muted)}
.step summary::after{margin-left:.4rem}
.step details[open]>summary{margin:0}
.step .scroll{max-height:20rem}
.step .data{width:auto;min-width:20rem}
.tools{font-size:.88em;margin-top:.3rem;gap:1rem;justify-content:start}
body :is(.step,.msg.tool) button.link{color:var(--link);padding:0}
.tree,.tree ul{padding-left:1.1rem;margin:0}
body .tree{padding:0}
.tree li{margin:0;list-style:none;line-height:1.6}
.output :is(h1,h2,h3){font-size:1.05em;margin:.6rem 0 .2rem}
.picture img{max-height:24rem}
.text{max-width:46rem}
.manual :is(.scroll,pre){max-height:none}
.manual pre{white-space:pre}
pre.live{max-height:12rem}
.inputs p{margin:.2rem 0;color:inherit}
.question{display:grid;gap:.4rem;justify-items:start;margin:.3rem 0}
.state{flex:0 0 5.5rem}
.state:is(.failed,.interrupted){color:var(--bad)}
.runs .state:is(.waiting,.question,.approval){color:var(--ink);font-weight:600}
.step{padding:.9rem 1rem;border-left:4px solid transparent}
main :is(.step,.problem){margin-bottom:.8rem}
.step header{padding:0;margin:0 0 .4rem;background:none;border:0}
.step form{align-items:start;padding:.6rem 0}
.step label{flex:1 1 14rem}
.badge{font-size:.85em}
.step:is(.ready,.running){border-color:var(--link)}
.step.done{border-color:#2f9e62}
.step:is(.stale,.waiting){border-color:#d08a00}
.step:is(.failed,.interrupted,.cancelled),.problem{border-color:var(--bad)}
.step.blocked{padding-block:.4rem}
.step:is(.blocked,.skipped,.lost){border-left:4px dashed var(--muted)}
.step.stale .output{filter:grayscale(1)}
.problem{border-left:4px solid var(--bad);padding:.6rem .9rem}
:is(.runs,.events,.log){padding:0}
:is(.runs,.events,.log) li{list-style:none;border-bottom:var(--edge);padding:.35rem 0;gap:1rem;
  flex-wrap:nowrap;margin:0}
.inputs,.events span{flex:1}
:is(.events,.log) button,[data-options]~button{padding:.1rem .6rem}
.cards{grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
.cards article{padding:.9rem}
.cards a{font-weight:600}

/* history */
#filter [type=search]{flex:1 1 9rem}
.log li{align-items:start}
.log time{font-variant-numeric:tabular-nums}
.entry{flex:1;display:flex;gap:.6rem;align-items:baseline;min-width:0}
.entry>:is(input,i){flex:0 0 1.25em;margin:0}
.entry>:is(details,p){flex:1;min-width:0}
.entry :is(summary,p){display:flex;gap:.7rem;line-height:inherit;align-items:baseline}
.entry span{flex:1;overflow-wrap:anywhere}
:not(.undone)>.entry span{color:var(--ink)}
.undone span{text-decoration:line-through}
.who{flex:0 0 4.5rem}
.diff h3{font-size:1em;margin:.5rem 0 .2rem}
.diff dl{display:grid;grid-template-columns:minmax(5rem,max-content) 1fr;gap:.1rem .9rem;margin:0}
.diff dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.clash ul{max-height:14rem;overflow:auto;padding-left:1rem}

/* notices */
#notices{position:fixed;bottom:1rem;left:1rem;z-index:9;display:grid;gap:.5rem;max-width:28rem}
.notice{padding:.5rem .9rem;border-radius:.5rem;flex-wrap:nowrap;gap:.8rem;
  background:var(--pico-contrast-background);color:var(--pico-contrast-inverse)}
.notice :is(.link,a){text-decoration:underline;color:inherit}
.notice .problem{color:var(--ink)}
.notice.clash{display:block;background:var(--card);color:var(--ink);border:var(--edge)}
.gone::before{content:"Pipulate is not running. What you typed is kept; start it again.";
  position:fixed;bottom:0;left:0;right:0;padding:.5rem;z-index:9;text-align:center;
  background:var(--bad);color:#fff}

/* chat */
#chat{border-left:var(--edge);display:flex;flex-direction:column;position:sticky;top:3.2rem;
  height:calc(100vh - 3.2rem)}
#talk{flex:1;overflow-y:auto;padding:.8rem} /* no flex: it measures all of a long talk each time */
#talk>*+*{margin-top:.6rem}
#talk:has(.msg)>.empty,#talk:not(:has(.msg))+#stop{display:none}
#earlier{display:block;margin:auto}
.msg{padding:.45rem .7rem;border-radius:.5rem;background:var(--soft);overflow-wrap:anywhere}
.msg.user{margin-left:auto;width:fit-content}
.msg.user pre{color:var(--ink)}
.msg.user summary{color:inherit}
.msg:is(.user,.live){white-space:pre-wrap}
.msg.tool{font-size:.88em;padding:.2rem .7rem}
.msg.tool>:is(details,span){display:inline-block;vertical-align:top;margin-right:.6rem;
  max-width:100%}
.msg .link:is([data-copy],[data-edit]){padding:0;font-size:.8em}
.msg .link[data-edit]{margin-left:.6rem}
.code{position:relative}
.code>:is(small,button){position:absolute;top:.15rem;right:.6rem}
.code>small{right:3.4rem;color:var(--muted)}
.code pre{padding-top:1.5rem;border:var(--edge)}
.msg ul{padding-left:1.3rem}
#talk li{margin:0;padding:0;display:list-item}
.live:has(span)::before{display:none!important}
.thought:has(div:empty){display:none}
.thought{font-size:.88em;margin:0 0 .3rem;white-space:pre-wrap}
.msg.note{background:none;border:var(--edge)}
.msg:has(+.msg:not(.user,.note)) .turn{display:none}
#stop,.lead{padding:0 .8rem .4rem;display:flex;gap:.4rem}
:is(#stop,.lead) button{padding:.1rem .6rem}
.lead form{margin:0}
.assistant>h2{margin-top:1.2rem}
.assistant .inline{margin-top:.6rem}
.assistant label select{max-width:100%;margin:0 .4rem}
.approval :is(p,pre){flex:1 1 100%;margin:0}
.approval button{animation:arm .5s!important} /* for who wants less motion, too */
@keyframes arm{from,99%{pointer-events:none;opacity:.4}}
#say{padding:.6rem;border-top:var(--edge);align-items:end;position:relative}
#say textarea{flex:1 1 70%;resize:none}
#say label{font-size:.85em;color:var(--muted)}
#say label[for]{cursor:pointer;text-decoration:underline}
#attach:focus-visible+label{outline:2px solid var(--link)}
.held[placeholder=" "]:placeholder-shown{display:none}
#offers{position:absolute;bottom:100%;left:.6rem;right:.6rem;z-index:4}
#offers ul{padding:.2rem;background:var(--card);border:var(--edge);border-radius:.5rem;
  max-height:19rem;overflow:auto}
#offers li{list-style:none;margin:0;padding:.2rem .4rem;border-radius:.3rem;cursor:pointer}

@media(max-width:800px){
  body{grid-template:auto 1fr auto/minmax(0,1fr)}
  body>nav{height:auto;flex-wrap:wrap;gap:.3rem .6rem}
  .menu{order:9;flex:1 1 100%}
  body>nav>[role=search]{width:6.5rem}
  main{padding:.8rem}
  .beside{grid-template-columns:minmax(0,1fr)}
  #chat{position:static;height:70vh;border:0;border-top:var(--edge)}
  .rows thead tr:not([hidden]){display:flex;flex-wrap:wrap;align-items:end}
  .rows th:is(.grip,.actions){width:auto}
  .rows :is(td,th){border:0}
  .rows .filters th[data-label]{flex:1 1 8rem}
  .rows tbody tr{display:grid;grid-template-columns:auto minmax(0,1fr) auto;
    border-bottom:var(--edge);padding:.3rem 0}
  .rows td{grid-column:2/-1;text-align:left}
  .rows td:nth-child(2){grid-column:2}
  .rows td:is(.grip,.actions){grid-row:1;width:auto}
  .rows td.grip{grid-column:1}
  .rows td.actions{grid-column:3}
  .rows td.computed:empty{display:none}
  .rows :is(.filters th,td:not(:nth-child(2)))[data-label]::before{font-size:.8em;
    content:attr(data-label) " ";color:var(--muted)}
  .rows td:not(:nth-child(2)) button.cell{width:auto}
  .add{grid-template-columns:repeat(auto-fill,minmax(8rem,1fr))}
  :is(.runs,.events) li{flex-wrap:wrap;gap:.3rem}
  .entry :is(summary,p){flex-wrap:wrap;gap:0 .7rem}
  .entry span{order:9;flex:1 1 100%}
  .who{flex:1}
}
"""
# comments and lines are for readers of this file
THEME = re.sub(r"/\*.*?\*/|\n *", "", THEME)
