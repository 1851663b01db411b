/** What the page of experiments adds to the report's style sheet. */
export const EXPERIMENTS_STYLE = `
:root{--pass:#1a6b3c;--fail:#a8241b;--open:#7a5200;--quiet:#5f6368}
@media (prefers-color-scheme:dark){:root{--pass:#6fd39b;--fail:#ff9d94;--open:#f0c069;--quiet:#a3a9b0}}
h3{font-size:1rem;margin:1.6em 0 .5em}
a{color:inherit;text-decoration-thickness:1px;text-underline-offset:.18em}
.experiment{border-top:1px solid var(--rule);padding-top:32px;scroll-margin-top:12px}
.outcome{scroll-margin-top:12px;margin:0 0 1.4em}
.claim{font-size:1.06rem}
.small{font-size:.86rem}
.verdict{font-weight:700;white-space:nowrap;border:1.5px solid currentColor;border-radius:4px;padding:.05em .45em;font-size:.86rem;margin-right:.3em}
.pass{color:var(--pass)}.fail{color:var(--fail)}.open{color:var(--open)}.quick{color:var(--quiet)}
.formula{margin:0 0 1em;overflow-x:auto;max-width:44rem;font-size:1.1rem}
.formula math{display:block;text-align:left}
.figure-title{font-weight:600;margin:1.6em 0 .4em}
.save{white-space:nowrap;color:var(--soft)}
.verdicts td,.metrics td,.verdicts thead th,.metrics thead th{text-align:left}
.verdicts .words,.metrics th,.seeds th{white-space:normal}
.verdicts td.words{min-width:9em;font-size:.9rem;line-height:1.45}
.verdicts td.name{white-space:normal;min-width:8em}
.verdicts td,.verdicts tbody th{vertical-align:top}
.metrics tbody th,.seeds tbody th{font-weight:400}
.metrics{font-size:.92rem}
.outcome>.scroll{margin:1.6em 0 1em}
.metrics .primary>*{font-weight:700}
.metrics .exploratory>*{color:var(--soft)}
.seeds td{white-space:normal;text-align:left}
.seeds{font-size:.9rem}
@media (max-width:700px){
.verdicts thead,.metrics thead{display:none}
.verdicts,.verdicts tbody,.verdicts caption,.metrics,.metrics tbody,.metrics caption{display:block}
.verdicts tr,.metrics tr{display:block;padding:.7em 0;border-bottom:1px solid var(--rule)}
.verdicts tr>*,.metrics tr>*{display:block;border:0;padding:.1em 0;white-space:normal;min-width:0}
.verdicts td.words::before{content:attr(data-label) ": ";color:var(--soft);font-weight:400}
.verdicts td.name{font-weight:600}
.verdicts th{float:left;margin-right:.5em}
.metrics tr{padding:.45em 0}
.metrics td{display:inline;padding-right:.5em}
.metrics td.none{display:none}
}
@media print{:root{--pass:#1a6b3c;--fail:#a8241b;--open:#7a5200;--quiet:#444}.save,details summary{display:none}.experiment{break-before:page}figure{break-inside:avoid}}
`.trim();
