import { CHART_CSS, CHART_SIZES } from "../charts/theme.js";

const [, medium, wide] = CHART_SIZES.map((size) => size.from) as [number, number, number];

/** The page's only style sheet. No font, image or script is loaded. */
export const STYLE = `
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1d1f;--soft:#5f6368;--rule:#d9d9d5;--notice:#fff6e5;--notice-edge:#b87400;--code:#f4f4f1;${CHART_CSS.light}}
@media (prefers-color-scheme:dark){:root{--paper:#16181b;--ink:#e8e9ea;--soft:#a3a9b0;--rule:#383c42;--notice:#2b2416;--notice-edge:#d99a2b;--code:#202327;${CHART_CSS.dark}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:952px;margin:0 auto;padding:40px 16px 64px}
header,section,footer{margin:0 0 48px}
h1{font-size:clamp(1.55rem,1.15rem + 1.9vw,2.3rem);line-height:1.22;letter-spacing:-.012em;font-weight:700;margin:.1em 0 .5em;max-width:26em;text-wrap:balance}
h2{font-size:1.2rem;line-height:1.35;margin:0 0 .5em;letter-spacing:-.005em}
p{margin:0 0 .9em}
p,ul,figcaption,.notice{max-width:44rem}
.kicker{color:var(--soft);font-size:.9rem;margin:0}
.lead{font-size:1.06rem}
.soft{color:var(--soft)}
.notice{border-left:4px solid var(--notice-edge);background:var(--notice);padding:.7em 1em;margin:0 0 1em;border-radius:0 4px 4px 0}
.notice strong{display:block}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;border-top:2px solid var(--ink);border-bottom:2px solid var(--ink)}
caption{text-align:left;color:var(--soft);font-size:.9rem;padding:0 0 .7em;max-width:44rem}
th,td{text-align:right;padding:.5em .6em;border-bottom:1px solid var(--rule);white-space:nowrap;vertical-align:baseline}
tr:last-child>*{border-bottom:0}
thead th{font-weight:600;font-size:.9rem;color:var(--soft);white-space:normal;vertical-align:bottom;line-height:1.35}
th:first-child,td:first-child{text-align:left;padding-left:0}
th:last-child,td:last-child{padding-right:0}
tbody th{font-weight:600}
.plain{color:var(--chart-plain-ink)}
.norm{color:var(--chart-norm-ink)}
figure{margin:0;container-type:inline-size}
figure svg{display:none;width:100%;height:auto}
figure svg.narrow{display:block;max-width:470px;margin:0 auto}
@container (min-width:${medium}px){figure svg.narrow{display:none}figure svg.medium{display:block}}
@container (min-width:${wide}px){figure svg.medium{display:none}figure svg.wide{display:block}}
figcaption{margin-top:.9em;font-size:.94rem;line-height:1.55}
figcaption p{margin:0 0 .5em}
pre{background:var(--code);padding:.8em 1em;border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere;font:.88rem/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:0 0 1em}
details{margin:0 0 1em}
summary{cursor:pointer;color:var(--soft);font-size:.94rem}
details[open] summary{margin-bottom:.8em}
pre span{display:inline-block;max-width:100%;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3em 1.4em;margin:0;font-size:.94rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
ul{margin:0 0 1em;padding-left:1.2em}
@media (max-width:560px){
.arms thead{display:none}
.arms,.arms tbody,.arms caption{display:block}
.arms{border-top:0}
.arms caption{border-bottom:2px solid var(--ink)}
.arms tr{display:block;padding:.6em 0;border-bottom:1px solid var(--rule)}
.arms tr:last-child{border-bottom:0}
.arms th,.arms td,.arms th:last-child,.arms td:last-child{display:flex;justify-content:space-between;border:0;padding:.12em 0}
.arms td::before{content:attr(data-label);color:var(--soft)}
dl{grid-template-columns:1fr}dt{margin-top:.4em}
}
@media print{
:root{color-scheme:light;--paper:#fff;--ink:#000;--soft:#444;--rule:#bbb;--notice:#fff;--code:#fff;${CHART_CSS.light}}
body{font-size:10.5pt}main{max-width:none;padding:0}section{margin-bottom:1.6em}
figure,table,.notice,pre{break-inside:avoid}h2{break-after:avoid}pre{border:1px solid var(--rule)}
}
`.trim();
