/* page_style.c - how the page looks: light and dark, phone and desk, screen and paper. Colours of the roles are those
 * of Okabe and Ito (2008), which people with any colour vision tell apart; fills, dashes and marks differ as well. */
#include "report/page.h"

static const char colours[] =
    ":root{color-scheme:light "
    "dark;--paper:#fff;--card:#f6f7f8;--ink:#16191d;--dim:#53585f;--rule:#d5d9de;--link:#00558a;\n"
    "--warn:#fff3d6;--warn-edge:#b26a00;--teacher:#5a6068;--student:#0072b2;--twin:#d55e00;--cut:#007f5c;--own:#e6f1f9}"
    "\n"
    "@media screen and (prefers-color-scheme:dark){:root{--paper:#121417;--card:#1b1e23;--ink:#e9ebee;--dim:#abb2ba;\n"
    "--rule:#353a42;--link:#7cc4f0;--warn:#33290f;--warn-edge:#e69f00;--teacher:#a7aeb7;--student:#56b4e9;--twin:#"
    "e69f00;\n"
    "--cut:#2cc295;--own:#17293a}}\n"
    ".teacher{--c:var(--teacher)}.student{--c:var(--student)}.twin{--c:var(--twin)}.cut{--c:var(--cut)}\n"
    ".plain{--c:var(--student)}.honest{--c:var(--dim)}\n";

static const char text[] =
    "*{box-sizing:border-box}\n"
    "html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,\n"
    "'DejaVu Sans',sans-serif;overflow-wrap:anywhere}\n"
    "main{max-width:1152px;margin:0 auto;padding:0 24px 64px}\n"
    "nav{max-width:1152px;margin:0 auto;padding:14px 24px 0;font-size:14px}\n"
    "nav a{display:inline-block;margin-right:14px;padding:4px 0}\n"
    "a{color:var(--link)}:focus-visible{outline:3px solid var(--link);outline-offset:2px}\n"
    ".skip{position:absolute;top:0;left:0;padding:10px 24px;background:var(--paper);clip-path:inset(50%)}\n"
    ".skip:focus{clip-path:none}\n"
    "h1{font-size:34px;line-height:1.2;margin:14px 0 4px;letter-spacing:-.01em}\n"
    "h2{font-size:24px;line-height:1.25;margin:56px 0 14px;padding-top:18px;border-top:1px solid var(--rule)}\n"
    "h3{font-size:17px;margin:26px 0 8px}\n"
    "h4{font-size:13px;margin:0 0 6px;color:var(--dim)}\n"
    "p,ul{max-width:76ch}ul{padding-left:22px}li{margin:2px 0}\n"
    ".meta,.note,.absent,small{color:var(--dim)}.meta{margin:0 0 "
    "18px;font-size:14px}.note{font-size:14px}small{font-size:13px}\n"
    ".banner{max-width:none;margin:12px 0;padding:10px 14px;background:var(--warn);border-left:5px solid "
    "var(--warn-edge)}\n"
    "pre{margin:8px 0;padding:14px 16px;background:var(--card);border:1px solid "
    "var(--rule);border-radius:6px;font-size:14px;\n"
    "line-height:1.5;white-space:pre-wrap}\n"
    "pre,.hash{font-family:ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',monospace}.hash{font-size:13px}\n";

static const char lists[] =
    ".five{margin:0}.five>div{display:grid;grid-template-columns:132px 1fr;gap:18px;padding:11px 0;\n"
    "border-top:1px solid var(--rule)}\n"
    ".five dt{font-weight:700}.five dd{margin:0;max-width:82ch;font-size:17px}\n"
    ".facts{margin:0;font-size:15px}.facts>div{display:grid;grid-template-columns:minmax(0,min(40%,240px)) "
    "1fr;gap:12px;padding:5px 0;\n"
    "border-top:1px solid var(--rule)}\n"
    ".facts dt{color:var(--dim)}.facts dd{margin:0}.facts ul{margin:0;padding-left:18px}\n"
    "table{width:100%;border-collapse:collapse;font-size:15px;font-variant-numeric:tabular-nums;margin:14px 0}\n"
    "th,td{padding:7px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}\n"
    "thead th{font-size:13px;color:var(--dim);vertical-align:bottom}\n"
    "tbody th{font-weight:600}tbody th small{display:block;font-weight:400}\n"
    ".own{background:var(--own);font-weight:600}\n"
    ".claim{font-size:18px;max-width:72ch}td small{display:block;color:var(--dim)}\n"
    "details{margin-top:10px;font-size:13px}summary{cursor:pointer;color:var(--dim)}\n"
    "details table{font-size:13px}details th,details td{padding:3px 6px}\n"
    "figure>details>table{display:block;max-height:320px;overflow-y:auto}\n";

static const char pictures[] =
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:18px;align-items:"
    "start;\n"
    "margin:18px 0}\n"
    ".curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(520px,100%),1fr));gap:18px;align-items:"
    "start;\n"
    "margin:18px 0}\n"
    ".charts>*,.curves>*{min-width:0}.charts h3:first-child{margin-top:0}\n"
    "figure{margin:0;padding:14px 16px;background:var(--card);border:1px solid var(--rule);border-radius:8px}\n"
    "figcaption{font-size:14px;line-height:1.4;margin-bottom:10px}figcaption b{display:block;font-size:16px}\n"
    "figcaption span{color:var(--dim)}\n"
    "svg{display:block;width:100%;height:auto;overflow:visible}.bars{max-width:350px}.wide{max-width:600px}.narrow{"
    "display:none}\n"
    "svg "
    "text{font-size:13px;fill:var(--ink);paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}"
    "\n"
    "svg .dim{fill:var(--dim)}svg .value{font-weight:600}\n"
    ".grid{stroke:var(--rule);fill:none}.axis,.tick{stroke:var(--dim);fill:none}\n"
    ".bar{fill:var(--c);stroke:var(--c);stroke-width:1.5}.bar.twin{fill-opacity:.5}.bar.cut{fill-opacity:.08;stroke-"
    "dasharray:4 3}\n"
    ".whisker{stroke:var(--ink);stroke-width:1.6;fill:none}.chance{stroke:var(--ink);stroke-width:1.4;stroke-dasharray:"
    "2 4}\n"
    ".line{fill:none;stroke:var(--c);stroke-width:2.2;stroke-linejoin:round}.line.twin{stroke-dasharray:7 "
    "4}.line.honest{stroke-dasharray:2 4}\n"
    ".line.thin{stroke-width:1.2;opacity:.75}.mark{fill:var(--card);stroke:var(--c);stroke-width:2}.mark.student{fill:"
    "var(--c)}\n"
    "article{margin:18px 0;padding:14px 16px;background:var(--card);border:1px solid var(--rule);border-radius:8px}\n"
    "article h3{margin:0;font-size:13px;color:var(--dim)}\n"
    ".text{margin:0;font-size:15px;white-space:pre-wrap;overflow:hidden;max-width:none}.prompt{margin:2px 0 "
    "12px;font-weight:600}\n"
    ".outs{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(230px,100%),1fr));gap:16px}\n"
    ".out{min-width:0;padding-left:10px;border-left:4px solid var(--c)}.out.twin{border-left-style:dashed}\n"
    ".out.cut{border-left-style:dotted}.text u{text-decoration:underline dotted;text-underline-offset:4px}\n";

static const char phone[] =
    "@media screen and (max-width:640px){\n"
    "main,nav{padding-left:16px;padding-right:16px}h1{font-size:28px}h2{margin-top:40px}\n"
    ".five>div{grid-template-columns:1fr;gap:2px}.five dd{font-size:16px}\n"
    "figure,article{padding:12px}.wide{display:none}.narrow{display:block;max-width:400px}\n"
    ".stack thead{display:none}.stack,.stack tbody,.stack tr,.stack th,.stack td{display:block}\n"
    ".stack tr{padding:10px 0;border-bottom:1px solid var(--rule)}.stack th,.stack td{border:0;padding:2px 0}\n"
    ".stack td{display:grid;grid-template-columns:2fr 3fr;column-gap:10px}.stack td>*{grid-column:2}\n"
    ".stack td::before{content:attr(data-c);color:var(--dim);font:400 15px/1.55 system-ui,'DejaVu Sans',sans-serif}\n"
    ".stack .own{margin:0 -6px;padding:2px 6px;border-radius:4px}}\n"
    "@media screen and (max-width:350px){main,nav{padding-left:8px;padding-right:8px}figure{padding:8px 6px}}\n"
    "@media screen and (min-width:641px){.stack .n{text-align:right}}\n";

static const char paper[] =
    "@media print{nav,details{display:none}body{font-size:11pt}main{padding:0;max-width:none}h2{margin-top:24pt}\n"
    "figure,article,tr,.five>div{break-inside:avoid}h2,h3{break-after:avoid}.n{text-align:right}a{color:inherit}}\n";

void rt_page_style(rt_str *out)
{
    rt_str_puts(out, colours);
    rt_str_puts(out, text);
    rt_str_puts(out, lists);
    rt_str_puts(out, pictures);
    rt_str_puts(out, phone);
    rt_str_puts(out, paper);
}
