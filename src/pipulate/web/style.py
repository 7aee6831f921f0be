"""The look, on top of Pico CSS: calm and dense. The script is in script.py."""

THEME = """
:root{--pico-font-size:15px;--pico-spacing:.75rem;--pico-form-element-spacing-vertical:.35rem;
  --pico-form-element-spacing-horizontal:.6rem;--pico-line-height:1.45;
  --pico-border-radius:.4rem;--edge:1px solid var(--pico-muted-border-color);
  --muted:var(--pico-muted-color);--page:var(--pico-background-color);
  --card:var(--pico-card-background-color);--soft:var(--pico-card-sectioning-background-color);
  --bad:var(--pico-del-color);--ink:var(--pico-color);--link:var(--pico-primary)}
@media (prefers-color-scheme:dark){ /* Pico's own are a shade too near to what lies below */
  :root:not([data-theme]){--pico-muted-color:#8f97a8;--pico-primary-hover-background:#016499}}

/* the frame: navigation above, main column, chat beside it */
body{display:grid;grid-template:auto 1fr/minmax(0,1fr) 23rem;min-height:100vh}
body.folded{grid-template-columns:minmax(0,1fr) 0}
body.folded #chat,#stop:empty{display:none}
body>nav{grid-column:1/-1;padding:.3rem 1rem;height:3.2rem;border-bottom:var(--edge);
  position:sticky;top:0;z-index:5;gap:.8rem;align-items:center;background:var(--page)}
nav :is(a,summary),.cards a,th a,.diff ins{text-decoration:none}
nav .menu{display:flex;gap:.2rem;flex:1 1 0;min-width:0;overflow-x:auto;white-space:nowrap}
nav .menu a{padding:.25rem .6rem;border-radius:.4rem;color:inherit}
nav .menu a[aria-current],.msg.user{background:var(--pico-primary-background);
  color:var(--pico-primary-inverse)}
nav .menu a.broken,.error,.actions button:is(:hover,:focus){color:var(--bad)}
body>nav :is([role=search],details.dropdown,button){flex:0 0 auto}
nav summary{white-space:nowrap}
body>nav input[type=search]{width:11rem}
main{padding:1rem 1.4rem 4rem;max-width:76rem;width:100%}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.05rem;margin:0}
*+h2{margin-top:1.2rem}
:focus-visible{outline:2px solid var(--link)}
.sr{position:absolute;left:-99rem}
pre{padding:.5rem;max-height:22rem;overflow:auto;white-space:pre-wrap}
.beside textarea,pre{font-family:var(--pico-font-family-monospace);font-size:.9em}
.head p,.empty,.hint,.computed,.linked .pen,.none,.actions button,.pager,.badge,.step.blocked,
  .step.blocked h2,.step.stale .output,#import legend,.runs span,.undone .entry span,.cards p,
  :is(.log,.diff) :is(small,time,dt){color:var(--muted)}

/* what stands in a line; forms and buttons in lines are as small as they can be */
.head,.bar,#state,#bulk,.slider,.boxes,.pager,.step header,.step form,.inline,#filter,#say,.notice,
  :is(.runs,.events,.log) li,.bar li{display:flex;gap:.6rem;align-items:center;flex-wrap:wrap}
.head,.pager,.step header,.bar li{justify-content:space-between}
:is(nav,.head,.bar,#bulk,.step,.pager,.inline,.events,.log,#filter,#picked,#import,.add,#say,.boxes,
  .beside) :is(button,form,label,details,fieldset){margin:0;width:auto}
:is(nav,.bar,.inline,.events) input,
  :is(#bulk,#filter,#import) :is(select,input:not([type=checkbox])){margin:0;width:auto}
#import label>*{display:block}
:is(.add,.step,.edit,#import,.boxes,#bulk) :is(label,span)>*,#filter input{margin-bottom:0}
:is(nav,.bar) :is(summary,summary:focus,button,[type=search]),#filter>*{height:2.2rem;
  padding-top:.25rem;padding-bottom:.25rem;line-height:1.6rem}
:is(nav,.bar) :is(summary,button){padding-left:.7rem;padding-right:.7rem}
:is(.bar,nav) :is(summary,button){border-radius:.4rem}
.head,.step header{margin-bottom:.8rem}
.head p,.problem p,.edit,.edit :is(input,select,textarea),.log button,.msg details,.slider input,
  .step h2,.cards article,.data,.notice .problem{margin:0}
.add{display:grid;gap:.5rem .8rem;align-items:end;padding:.7rem .7rem .8rem;border:var(--edge);
  grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));border-radius:.5rem}
.add label:has(textarea){grid-row:span 2}
.add label:has([role=switch]){align-self:center}
.add>button{justify-self:start}
.add label>span:not(.slider){display:grid}
.error{display:block}
label small{margin-top:.1rem}
label [role=switch]{margin-left:.5rem}

/* lists of rows */
.bar{margin:.8rem 0 .3rem}
#state input[type=search]{width:14rem}
.bar details ul{padding:.4rem .8rem;min-width:14rem}
.bar li{padding:.1rem 0}
#bulk,#picked{position:sticky;bottom:0;padding:.5rem .7rem;background:var(--card);z-index:2}
#bulk{border:var(--edge);border-radius:.5rem}
#bulk-value>*{max-width:14rem}
.crud:not(:has(.rows tbody .grip :checked)) #bulk,
  .history:not(:has(.log :checked)) #picked{display:none}
.slider{flex-wrap:nowrap}
.slider input{flex:1}
.slider output{min-width:2ch}
.wide{overflow-x:auto}
.wide:has(tbody tr)~.empty,.rows:not(:has(tbody tr)) thead tr:first-child{display:none}
.rows{margin:.3rem 0 0}
.rows :is(td,th){padding:.15rem .3rem}
.rows tr:focus{outline:2px solid var(--link);outline-offset:-2px}
.filters :is(input,select){margin:0;font-weight:400;height:1.9rem;padding:.1rem .4rem;
  min-width:4rem}
th a{color:inherit}
.grip,.actions{width:1%;text-align:center;white-space:nowrap}
.grip input{margin:0}
.grip button{cursor:grab;touch-action:none}
.rows:not(:has([data-sortable])) .grip button{visibility:hidden}
.number,.number button.cell{text-align:right}
button:is(.cell,.link){background:none;border:0;color:inherit;padding:.25rem;margin:0;width:auto;
  text-align:left;box-shadow:none;--pico-color:inherit}
button.cell{width:100%;min-height:1.9rem;white-space:pre-wrap;overflow-wrap:break-word}
button.cell:hover{background:var(--pico-form-element-active-background-color)}
.linked{display:flex;gap:.3rem;align-items:start;justify-content:space-between;min-height:1.9rem}
.linked>:is(a,span){padding:.25rem;overflow-wrap:break-word}
.linked img{max-width:6rem;max-height:3.5rem;border-radius:.2rem}
.md{padding:.25rem;max-height:14rem;overflow:auto;flex:1}
:is(.md,.msg,.output)>:last-child{margin-bottom:0}
.tag{background:var(--soft);border-radius:.6rem;padding:.05rem .5rem;margin-right:.25rem;
  display:inline-block}
.edit :is(input,select,textarea){min-width:6rem}
.edit [role=switch]{min-width:0}
.edit.whole label{display:block}
.empty{margin:.8rem 0}
.pager{padding:.4rem 0}
.pager a+a{margin-left:1rem}
.totals{margin:0}
.values span+span::before{content:" · "}
.scroll{overflow:auto;max-height:30rem;margin:.5rem 0}
.data{font-size:.92em}
.data :is(td,th){padding:.2rem .5rem}
.data td{max-width:28rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.data thead{position:sticky;top:0;background:var(--card)}
.chart{max-width:40rem}
.chart svg{width:100%;font:12px sans-serif;fill:currentColor}
.chart rect{fill:var(--link)}
.beside{display:grid;grid-template-columns:minmax(0,1fr) 15rem;gap:1.2rem}
.beside form button{margin:0 .4rem .8rem 0}
.beside textarea{width:100%}
.beside aside{font-size:.9em;overflow-wrap:anywhere}
#import form,#check{display:grid;gap:.6rem;justify-items:start;max-width:60rem}
#import form{margin-bottom:1.2rem}
#check>div,#check .problem,#import .scroll,#import .scroll table,#check,
  #import :is(label:has(textarea),textarea){width:100%}
#import select{height:2.1rem;padding:.1rem 1.8rem .1rem .5rem;min-width:9rem}
#import legend{width:100%}
#import .number{width:5rem}

/* runs and their steps */
.step{padding:.9rem 1rem;margin-bottom:.8rem;border-left:4px solid transparent}
.step header{padding:0;margin:0 0 .4rem;background:none;border:0}
.step>p{margin:0 0 .6rem}
.step form{align-items:end;margin:0 0 .6rem}
.step label{flex:1 1 14rem}
.badge{font-size:.85em}
.step:is(.ready,.running){border-color:var(--link)}
.step.done{border-color:#2f9e62}
.step.stale{border-color:#d08a00}
.step:is(.failed,.interrupted,.cancelled){border-color:var(--bad)}
.step.blocked{border-left:4px dashed var(--muted)}
.step.stale .output{filter:grayscale(1)}
.problem{border-left:4px solid var(--bad);padding:.6rem .9rem;margin:.4rem 0}
.runs,.cards,.events,.log{padding:0}
:is(.runs,.events,.log) li{list-style:none;border-bottom:var(--edge);padding:.35rem 0;gap:1rem;
  flex-wrap:nowrap}
.inputs,.events span{flex:1}
.events button{padding:.1rem .6rem}
.cards{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
.cards article{padding:.9rem}
.cards a{font-weight:600}
.cards p{margin:.2rem 0 0}

/* history */
#filter [type=search]{flex:1 1 9rem}
.log{margin:.2rem 0 1rem}
.log li{align-items:start}
.log button{padding:.05rem .6rem}
.log time{font-variant-numeric:tabular-nums}
.entry{flex:1;display:flex;gap:.6rem;align-items:baseline;min-width:0}
.entry>:is(input,i){flex:0 0 1.25em;margin:0}
h2:has(+.log){margin-top:.9rem}
.entry :is(details,p){flex:1;margin:0;min-width:0}
.entry :is(summary,p){display:flex;gap:.7rem;line-height:inherit;align-items:baseline}
.entry span{flex:1;overflow-wrap:anywhere;color:var(--ink)}
.who{flex:0 0 4.5rem}
.undone .entry span{text-decoration:line-through}
.diff{padding:.2rem 0 .4rem}
.diff h3{font-size:1em;margin:.5rem 0 .2rem}
.diff dl{display:grid;grid-template-columns:minmax(5rem,max-content) 1fr;gap:.1rem .9rem;margin:0}
.diff dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.clash ul{max-height:14rem;overflow:auto;padding-left:1rem;margin:.3rem 0}

/* notices */
#notices{position:fixed;bottom:1rem;left:1rem;z-index:9;display:grid;gap:.5rem;max-width:28rem}
.notice{padding:.5rem .9rem;border-radius:.5rem;flex-wrap:nowrap;gap:.8rem;
  background:var(--pico-contrast-background);color:var(--pico-contrast-inverse)}
.notice button{text-decoration:underline}
.notice .problem{color:var(--ink)}
.notice.clash{display:block;background:var(--card);color:var(--ink);border:var(--edge)}
.notice.clash button{width:auto;margin:0 .5rem 0 0;text-decoration:none}
.gone::before{content:"Pipulate is not running. What you typed is kept; start it again.";
  position:fixed;bottom:0;left:0;right:0;padding:.5rem;z-index:9;text-align:center;
  background:var(--bad);color:#fff}

/* chat */
#chat{border-left:var(--edge);display:flex;flex-direction:column;position:sticky;top:3.2rem;
  height:calc(100vh - 3.2rem)}
#talk{flex:1;overflow-y:auto;padding:.8rem;display:flex;flex-direction:column;gap:.6rem}
.msg{padding:.45rem .7rem;border-radius:.5rem;background:var(--soft);overflow-wrap:anywhere}
.msg.user{align-self:flex-end}
.msg:is(.user,.live){white-space:pre-wrap}
.msg.tool{font-size:.88em;padding:.2rem .7rem}
.msg :is(p,ul,pre){margin-bottom:.4rem;font-size:.95em}
.msg ul{padding-left:1rem}
.msg.note{background:none;border:var(--edge)}
.msg:has(+.msg:not(.user,.note)) .turn{display:none}
.turn{margin:.3rem 0 0}
.approval button{animation:arm .5s}
@keyframes arm{
  from,99%{pointer-events:none;opacity:.4}
}
#say{padding:.6rem;border-top:var(--edge);gap:.4rem;align-items:end;flex-wrap:nowrap;margin:0}
#say textarea{margin:0;resize:none}

@media(max-width:800px){
  body>nav{height:auto;flex-wrap:wrap;gap:.3rem .6rem}
  nav .menu{order:9;flex:1 1 100%}
  body{grid-template:auto 1fr auto/minmax(0,1fr)}
  main{padding:.8rem}
  .beside{grid-template-columns:minmax(0,1fr)}
  #chat{position:static;height:70vh;border:0;border-top:var(--edge)}
  body>nav input[type=search]{width:6.5rem}
  .rows thead tr:not([hidden]){display:flex;flex-wrap:wrap;align-items:end}
  .rows th.grip,.rows th.actions{width:auto}
  .rows th{border:0}
  .rows .filters th[data-label]{flex:1 1 8rem}
  .rows tbody tr{display:grid;grid-template-columns:auto minmax(0,1fr) auto;
    border-bottom:var(--edge);
    padding:.3rem 0}
  .rows td{border:0;grid-column:2/-1;text-align:left}
  .rows td:nth-child(2){grid-column:2}
  .rows td:is(.grip,.actions){grid-row:1;width:auto}
  .rows td.grip{grid-column:1}
  .rows td.actions{grid-column:3}
  .rows td.computed:empty{display:none}
  .rows :is(.filters th,td:not(:nth-child(2)))[data-label]::before{font-size:.8em;
    content:attr(data-label) " ";
    color:var(--muted)}
  .rows td:not(:nth-child(2)) button.cell{width:auto;display:inline}
  .add{grid-template-columns:repeat(auto-fill,minmax(8rem,1fr))}
  :is(.runs,.events) li{flex-wrap:wrap;gap:.3rem}
  #import .data td:nth-child(2){max-width:8rem}
  .entry :is(summary,p){flex-wrap:wrap;gap:0 .7rem}
  .entry span{order:9;flex:1 1 100%}
  .who{flex:1}
}
"""
