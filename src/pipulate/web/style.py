"""The look, on top of Pico CSS: calm and dense."""

import re

THEME = """
:root{--pico-font-size:15px;--pico-spacing:.75rem;--pico-form-element-spacing-vertical:.3rem;
  --pico-form-element-spacing-horizontal:.6rem;--pico-nav-link-spacing-vertical:.4rem;
  --pico-border-radius:.4rem;--pico-line-height:1.45;
  --edge:1px solid var(--pico-muted-border-color);--muted:var(--pico-muted-color);
  --card:var(--pico-card-background-color);--soft:var(--pico-card-sectioning-background-color);
  --bad:var(--pico-del-color);--ink:var(--pico-color);--link:var(--pico-primary)}
@media (prefers-color-scheme:dark){ /* Pico's own are too near to what lies below */
  :root:not([data-theme]){--pico-muted-color:#8f97a8;--pico-primary-hover-background:#016499}}

/* everywhere: what holds things spaces them */
body :is(h1,h2,p,ul,label,form,fieldset,details,article),
  body :is(input:not([type=checkbox]),select,textarea,small,[role=search],[type=submit],
    [type=button]){margin:0}
body :is(button,[type=submit]){width:auto}
h1{font-size:1.5rem}
h2{font-size:1.05rem}
body *+:is(h2,.assistant){margin-top:1rem}
body *+:is(p,form){margin-top:.4rem}
#attach:focus-visible+label,:focus-visible,.rows tr:focus{outline:2px solid var(--link)}
a:is(nav *,.cards *,th *),.diff ins{text-decoration:none}
pre{padding:.6rem;max-height:22rem}
pre,.thought,.diff dd,.msg:is(.user,.live),body button.cell{white-space:pre-wrap}
.beside textarea,pre{font:.88em/1.45 var(--pico-font-family-monospace)}
.head p,.empty,.hint,.computed,.pen,.none,.pager,.badge,.step.blocked :is(h2,p),
  legend,#say label,.code :is(small,i),.runs span,.undone span,.cards p,
  :is(.log,.diff) :is(small,time,dt){color:var(--muted)}
.broken,.error,[aria-label=Delete]:is(:hover,:focus),.state:is(.failed,.interrupted){
  color:var(--bad)}
[aria-current],.msg.user,[aria-selected=true]{background:var(--pico-primary-background);
  color:var(--pico-primary-inverse)}
.sr{left:-99rem;position:absolute}
body :is(.empty,.bar,#filter),.cards,.scroll{margin:.6rem 0}
button:is(.cell,.link),.step header{background:none;border:0;padding:.3rem;text-align:left;
  box-shadow:none;color:inherit}
.tools,.msg.tool,.thought,.badge,.beside aside,.data,#say label,.msg .link{font-size:.88em}

body:has(.notice .problem) #answer,#import .htmx-request{opacity:.4} /* of an earlier one */

/* what is not there now */
body.folded #chat,body:not(.ask) [data-allow],body:has(#ended)>:not(main),.gone:has(#ended)::before,
  .crud:not(:has(.rows tbody .grip :checked)) #bulk,.history:not(:has(.log :checked)) #picked,
  .wide:has(tbody tr)~.empty,.rows:not(:has(tbody tr)) thead tr:first-child,
  .rows:not(:has([data-sortable])) .grip button,
  #talk:has(.msg)>.empty,#talk:not(:has(.user,.live))+#stop,.thought:has(div:empty),
  .msg:has(+.msg:not(.user,.note)) .turn,.held[placeholder=" "]:placeholder-shown{display:none}

/* in lines */
.head,.bar,#bulk,.slider,.boxes,.pager,.step header,.step form,.inline,#filter,#say,.notice,
  .beside form,.sends,.tools,.tools details>div,.approval,#stop,.lead,
  :is(.runs,.events,.log,.bar) li{display:flex;gap:.6rem;align-items:center;flex-wrap:wrap}
.head,.pager,.step header,.bar li{justify-content:space-between}
:is(.bar,.inline,#bulk,#filter,#import) :is(input:not([type=checkbox]),select){width:auto}
:is(body>nav,.bar) :is(button,[role=button],[type=search]),#filter>*{
  padding-block:.2rem;line-height:1.6rem;height:2.2rem}
.head>:first-child{margin-right:auto}
.add,#import form,#check,.whole,.cards,.question,.beside,.diff dl,#notices{display:grid;
  gap:.6rem .8rem}
:is(.add,.edit,.step) label>span:not(.slider){display:grid}
:is(.add,.edit,#import,.question) button{place-self:end start}

/* the frame */
body{display:grid;grid-template:auto 1fr/minmax(0,1fr) auto;min-height:100vh}
body>nav{grid-column:1/-1;padding:.3rem 1rem;height:3.2rem;border-bottom:var(--edge);
  position:sticky;top:0;z-index:5;gap:.8rem;align-items:center;
  background:var(--pico-background-color)}
nav :is([role=search],details,button){flex:none}
.menu,.apps{display:flex;min-width:0;white-space:nowrap}
.menu{flex:1;gap:.4rem;align-items:center}
.apps{overflow:hidden;flex-wrap:wrap;height:2.1rem} /* no name in parts */
@media(800px<width<1200px){.apps [aria-current]{order:-1}}
body .dropdown button.link{padding:0;height:auto}
.menu a{padding:.3rem .6rem;border-radius:.4rem}
:where(.menu,th) a,.notice :is(.link,a),.msg.user summary{color:inherit}
nav [role=search]{width:11rem}
@media(min-width:801px){#more{display:contents}[popovertarget]{display:none}}
main{padding:1rem 1.4rem 4rem;container-type:inline-size}
main>*{max-width:73rem}
.crud{width:max-content;max-width:100%;min-width:min(100%,73rem)}

/* lists of rows */
.add,.whole{grid-template-columns:repeat(auto-fit,minmax(min(10rem,45%),1fr))}
.whole{max-width:calc(100cqw - 8rem)}
.add>:first-child{grid-area:auto/span 2}
:is(.add,.whole)>:has(textarea){grid-area:span 2/span 2}
.add [role=switch]{margin-block:.4rem}
#state,#kept{display:contents}
#bulk,#picked{position:sticky;bottom:0;z-index:2}
.add,#bulk,#picked,#more,#offers ul,.notice.clash{background:var(--card);border:var(--edge);
  border-radius:.6rem;padding:.6rem}
#bulk-value>*{max-width:14rem}
.slider,.notice{flex-wrap:nowrap}
body [data-options]~:is(a,button){margin:.3rem .6rem .2rem 0}
.slider output{min-width:2ch}
.rows :is(td,th){padding:.2rem .3rem}
:is(.rows,.data) td{max-width:26rem}
.rows tr>:is(:nth-child(2),.actions){position:sticky;inset-inline:0;padding-inline:0;
  background:var(--pico-background-color) content-box}
.rows td:nth-child(2),.linked{min-width:11rem}
.rows :is(th,[class^=date] *){white-space:nowrap}
#import td:last-child{white-space:normal}
.rows tr:focus{outline-offset:-2px}
.filters :is(input,select){height:1.9rem;padding:.1rem .4rem;min-width:4rem}
.grip,.actions{width:1%;white-space:nowrap}
.grip button{cursor:grab;touch-action:none}
.number,.number button.cell{text-align:right}
body button.cell{width:100%}
button.cell:hover{background:var(--pico-form-element-active-background-color)}
.linked{display:flex;gap:.3rem;justify-content:space-between;align-items:start}
.linked>:is(a,span),.md,.rows th a{padding:.3rem}
@media(hover:hover){.linked:not(:hover,:focus-within)>.pen{opacity:0}}
.linked img{max-width:6rem;max-height:3.5rem}
.md,.clash ul{max-height:14rem;overflow:auto}
.tag{background:var(--soft);border-radius:.6rem;padding:.1rem .6rem;margin-right:.3rem;
  display:inline-block}
.edit:not(.whole) :is(input:not([type=checkbox]),select,textarea){width:auto;min-width:100%}
.pager{padding:.4rem 0}
.pager a+a,.values span+span{margin-left:.8rem}
.wide,.scroll{overflow:auto}
.scroll,.picture img{max-height:24rem}
.data,.rows,.grip input,.lead form,.diff :is(dl,dd){margin:0}
.data{width:auto;min-width:20rem}
.data :is(td,th),.rows .computed,.msg.tool{padding:.2rem .6rem}
.data td,nav>.dropdown summary{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.data thead{background:var(--card);position:sticky;top:0}
.chart svg{max-width:40rem;font-size:.8em;fill:currentColor}
.chart rect{fill:var(--link)}
.beside{grid-template-columns:minmax(0,1fr) 15rem;gap:1rem}
.diff dd,.msg,.beside aside,.entry span,.inputs{overflow-wrap:anywhere}
#import>form,.manual{margin-bottom:1rem;max-width:60rem}

/* runs */
.name input{min-width:18rem;padding-left:0}
body .name input:not(:hover,:focus){background:none;border-color:transparent}
#waiting:not(:empty){border-radius:.6rem;background:var(--bad);color:#fff;padding:.1rem .4rem}
.step form:not(.question) .sends{flex-basis:100%}
.step details,.inputs p{margin:.2rem 0}
.step summary{width:max-content;max-width:100%}
body summary,.tree li{line-height:1.6}
body summary::after{margin-left:.4rem;align-self:center;height:1lh}
.step details[open]>summary{margin:0}
.tools{margin-top:.3rem;gap:1rem;justify-content:start}
body :is(th,.step,.msg.tool) button.link{padding:0;color:var(--link)}
:is(.tree,.clash,.msg) ul{padding-left:1rem}
body :is(.tree,.runs,.events,.log){padding:0}
:is(.tree,.runs,.events,.log,#offers) li{list-style:none;margin:0}
:is(.output,.diff) :is(h1,h2,h3){margin:.6rem 0 .2rem;font-size:1.05em}
.text{max-width:46rem}
.manual :is(.scroll,pre){max-height:none}
.manual pre{white-space:pre}
pre.live{max-height:12rem}
.state,.who{flex:0 0 5.5rem}
.step,.problem{border-left:4px solid transparent;padding:.8rem 1rem}
.head,main :is(.step,.problem){margin-bottom:.8rem}
.step header{padding:0;margin:0 0 .4rem}
.step form{padding:.6rem 0}
.step label{flex:1 1 14rem}
.step:is(.ready,.running){border-color:var(--link)}
.step.done{border-color:#2f9e62}
.step:is(.stale,.waiting){border-color:#d08a00}
.step:is(.failed,.interrupted,.cancelled),.problem{border-color:var(--bad)}
:is(.runs,.events,.log) li{flex-wrap:nowrap;gap:1rem;border-bottom:var(--edge);padding:.3rem 0}
.md,.inputs,.events span,.entry span{flex:1}
:is(.events,.log,#stop,.lead) button,[data-options]~button{padding:.1rem .6rem}
.cards{grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
.cards a{font-weight:600}

/* history */
#filter [type=search]{flex:1 1 9rem}
.add,.whole,.step form,.log li{align-items:start}
.entry,.entry :is(summary,p){display:flex;gap:.6rem;align-items:baseline}
.entry,.entry>:is(details,p){min-width:0;flex:1}
.entry>:is(input,i){margin:0;flex:0 0 1.25em}
.undone span{text-decoration:line-through}
.diff dl{grid-template-columns:minmax(5rem,max-content) 1fr;gap:.1rem .8rem}

/* notices */
#notices{max-width:28rem;z-index:9;position:fixed;inset:auto auto 10rem 1rem}
.notice{background:var(--pico-contrast-background);color:var(--pico-contrast-inverse)}
.notice :is(.link,a),#say label[for]{text-decoration:underline}
.notice.clash,.notice .problem,.msg.user pre,:not(.undone)>.entry span{color:var(--ink)}
.clash{display:block}
.gone::before{content:"Pipulate is not running. What you typed is kept; start it again.";
  position:fixed;inset:auto 0 0;padding:.6rem;z-index:9;text-align:center;background:var(--bad);
  color:#fff}

/* chat */
#chat{border-left:var(--edge);display:flex;flex-direction:column;position:sticky;top:3.2rem;
  width:23rem;height:calc(100vh - 3.2rem)}
#talk{flex:1;overflow-y:auto;padding:.8rem} /* no flex: it measures all of a long talk each time */
#talk>*{margin-top:.6rem}
.msg,.notice{padding:.6rem;border-radius:.6rem}
.msg{background:var(--soft)}
.msg.user{margin-left:auto;width:fit-content}
.msg.tool>:is(details,span){display:inline-block;vertical-align:top;margin-right:.6rem;
  max-width:100%}
.code,#say{position:relative}
.code>:is(small,button){position:absolute;top:.2rem;right:.6rem}
.code>small{right:3.4rem}
.code pre{padding-top:1.5rem;border:var(--edge)}
#talk li{display:list-item;padding:0;margin:0}
.live:has(span)::before{display:none!important}
.thought{margin:0 0 .3rem}
.msg.note{background:none;border:var(--edge)}
#stop,.lead{padding:0 .8rem .4rem}
.assistant label{display:grid;grid-template-columns:12rem minmax(0,1fr);align-items:center}
.approval :is(p,pre){flex:1 1 100%;margin:0}
.approval button{animation:arm .5s!important} /* for who wants less motion, too */
@keyframes arm{from,99%{pointer-events:none;opacity:.4}}
#say{padding:.6rem;border-top:var(--edge);align-items:end}
#say textarea{flex:1 1 70%;resize:none}
#say label[for]{cursor:pointer}
#offers{position:absolute;z-index:4;inset:auto .6rem 100%}
#offers ul{max-height:19rem;padding:.2rem;overflow:auto}
#offers li{cursor:pointer;padding:.2rem .4rem;border-radius:.3rem}

@media(max-width:800px){
  #import td:nth-child(2):not(:last-child){max-width:7.5rem}
  body>nav{justify-content:space-between;padding-inline:.6rem}
  nav>.dropdown{flex:0 1 auto;min-width:0}
  #more{inset:3.2rem 0 auto auto;color:inherit}
  #more:popover-open,.menu,.apps{gap:.4rem;display:grid;height:auto}
  #more :is(ul,details){margin:0;position:static}
  main{padding:.8rem}
  .beside{grid-template-columns:minmax(0,1fr)}
  #chat{position:fixed;inset:auto 0 0;width:auto;height:70vh;z-index:4;
    border-top:var(--edge);background:var(--card)}
  #state [type=search]{flex:1 0 100%}
  .rows thead tr:not([hidden]){display:flex;flex-wrap:wrap;align-items:end}
  .rows :is(td,th){border:0}
  .filters [data-label]{flex:1 1 8rem;white-space:normal}
  .rows tbody tr{display:flex;flex-wrap:wrap;align-items:baseline;border-bottom:var(--edge);
    padding:.3rem 0 .3rem 3.2rem}
  .rows tbody tr::after{content:"";flex:0 0 100%}
  .rows td{max-width:none;text-align:left;overflow-wrap:anywhere}
  .rows td:nth-child(2){flex:1}
  .rows td:not(:nth-child(2))[data-label]{order:1}
  .grip,.actions{width:auto}
  tbody .grip{margin-left:-3.2rem;flex:0 0 3.2rem}
  .computed:empty{display:none}
  .rows :is(.filters th,td:not(:nth-child(2)))[data-label]::before{font-size:.8em;
    content:attr(data-label) " ";color:var(--muted)}
  .rows td:not(:nth-child(2)) .cell{width:auto}
  :is(.runs,.events) li{flex-wrap:wrap;gap:.3rem}
  .entry :is(summary,p){flex-wrap:wrap;gap:0 .6rem}
  .entry span{flex:1 1 100%;order:9}
  .who{flex:1}
}
"""
# comments and lines are for readers
THEME = re.sub(r"/\*.*?\*/|\n *", "", THEME)
