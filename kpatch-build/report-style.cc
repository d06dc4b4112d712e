// How the page looks, and what helps to find one's way in it
//
// Without the script everything is there: folding is <details>, equal code is shown by a check box (:has), and colours
// follow the reader's system. The script adds the search, a switch of colours, and opens what is folded before printing.
#include "kpatch-build/report-style.h"

namespace kpatch {

std::string_view report_style() {
  return R"(
:root { color-scheme: light dark; --page: #fff; --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --card: #f6f8fa;
  --link: #0969da; --good: #1a7f37; --good-back: #dafbe1; --bad: #cf222e; --bad-back: #ffebe9; --warn: #9a6700;
  --warn-back: #fff8c5; --add: #e6ffec; --add-edge: #2da44e; --del: #ffebe9; --del-edge: #cf222e; --source: #f1f4f8;
  --mnemonic: #0550ae }
@media (prefers-color-scheme: dark) { :root:not([data-colours=light]) { --page: #0d1117; --text: #e6edf3; --soft: #9198a1;
  --line: #3d444d; --card: #151b23; --link: #4493f8; --good: #3fb950; --good-back: #12261e; --bad: #ff7b72;
  --bad-back: #2d1316; --warn: #d29922; --warn-back: #272115; --add: #12261e; --add-edge: #3fb950; --del: #2d1619;
  --del-edge: #f85149; --source: #1a212b; --mnemonic: #79c0ff } }
:root[data-colours=dark] { color-scheme: dark; --page: #0d1117; --text: #e6edf3; --soft: #9198a1;
  --line: #3d444d; --card: #151b23; --link: #4493f8; --good: #3fb950; --good-back: #12261e; --bad: #ff7b72;
  --bad-back: #2d1316; --warn: #d29922; --warn-back: #272115; --add: #12261e; --add-edge: #3fb950; --del: #2d1619;
  --del-edge: #f85149; --source: #1a212b; --mnemonic: #79c0ff }
:root[data-colours=light] { color-scheme: light }
* { box-sizing: border-box }
html { scroll-padding-top: 4em; background: var(--page); color: var(--text) }
body { font: 15px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; max-width: 92em; margin: 0 auto;
  padding: 1.5em 1.5em 4em }
a { color: var(--link); text-decoration: none } a:hover { text-decoration: underline }
code, pre, .code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  font-size: 12.5px; line-height: 1.5; tab-size: 8 }
h1 { font-size: 1.6em; line-height: 1.25; margin: 0 0 .3em; overflow-wrap: anywhere }
h2 { font-size: 1.2em; margin: 2.4em 0 .7em; padding-bottom: .3em; border-bottom: 1px solid var(--line) }
p { margin: .4em 0 } .soft { color: var(--soft) } .number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums }
.badge { display: inline-block; padding: 0 .7em; border-radius: 1em; font-size: .85em; font-weight: 600;
  white-space: nowrap; background: var(--card); color: var(--soft) }
.badge.good { color: var(--good); background: var(--good-back) }
.badge.error, .badge.refusal { color: var(--bad); background: var(--bad-back) }
.badge.warning { color: var(--warn); background: var(--warn-back) }
.facts { display: flex; flex-wrap: wrap; margin: 1.2em 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; overflow: hidden }
.facts div { flex: 1 1 auto; padding: .6em .9em; box-shadow: 1px 1px 0 var(--line) }
.facts dt { color: var(--soft); font-size: .85em }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere } .facts small { font-weight: 400; color: var(--soft) }
nav { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .3em 1.3em; align-items: center;
  padding: .6em 0; background: var(--page); border-bottom: 1px solid var(--line) }
nav input { flex: 1 1 12em; max-width: 24em; margin-left: auto; font: inherit; padding: .2em .7em; color: inherit;
  background: var(--card); border: 1px solid var(--line); border-radius: 6px }
nav button { font: inherit; padding: .2em .7em; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; cursor: pointer }
.wide { overflow-x: auto } [hidden] { display: none !important }
table { border-collapse: collapse; width: 100% }
.list td, .list th { text-align: left; vertical-align: top; padding: .45em 1.2em .45em 0; border-bottom: 1px solid var(--line) }
.list th { color: var(--soft); font-size: .85em; font-weight: 600; white-space: nowrap }
.list td code { overflow-wrap: break-word } .list td.name code { white-space: nowrap } .list td.number, .list th.number { text-align: right }
.list td:first-child code { white-space: nowrap; overflow-wrap: normal }
.list tr:last-child td { border-bottom: 0 }
details { margin: .7em 0 } summary { cursor: pointer; font-weight: 600 }
details.card { border: 1px solid var(--line); border-radius: 8px; overflow: clip }
details.card > summary { padding: .5em .9em; background: var(--card) }
details.card[open] > summary { border-bottom: 1px solid var(--line) }
details.card > .inner { padding: .4em .9em }
summary .soft, summary .badge { font-weight: 400; margin-left: .6em } details details summary { font-weight: 400 }
.tools { display: flex; flex-wrap: wrap; gap: .2em 1.5em; padding: .4em .9em; color: var(--soft); font-size: .9em }
.list summary { font-weight: 400; font-size: .9em }
.rule { white-space: pre-wrap; font: 12.5px/1.5 ui-monospace, Menlo, Consolas, monospace }
.code { width: 100%; min-width: 56em; table-layout: fixed }
.code col.at { width: 6.2em }
.code td { padding: 0 .6em; vertical-align: top; white-space: pre-wrap; overflow-wrap: anywhere }
.code td:nth-child(odd) { color: var(--soft); text-align: right; user-select: none; padding-right: .3em }
.code td:nth-child(3) { border-left: 1px solid var(--line) }
.code th { text-align: left; padding: .3em .9em; color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line) }
.code th + th { border-left: 1px solid var(--line) }
.code b { font-weight: 600; color: var(--mnemonic) }
.code tr.s td { background: var(--source); color: var(--text); padding-top: .15em; padding-bottom: .15em }
.code tr.s td:nth-child(odd) { color: var(--soft) } .code tr.s i { display: block; min-height: 1.5em; color: var(--soft); font-style: normal }
.code .d { background: var(--del); box-shadow: inset 3px 0 var(--del-edge) }
.code .a { background: var(--add); box-shadow: inset 3px 0 var(--add-edge) }
.code .n { background: var(--card) }
.code .gap td { text-align: center; color: var(--soft); background: var(--card); border: solid var(--line);
  border-width: 1px 0; padding: .2em }
.code .same { display: none }
.card:has(.all:checked) .same { display: table-row-group } .card:has(.all:checked) .gap { display: none }
.diff { overflow-x: auto; margin: 0; padding: .5em 0 } .diff span { display: block; padding: 0 .9em; width: max-content;
  min-width: 100% }
.diff .add { background: var(--add); box-shadow: inset 3px 0 var(--add-edge) }
.diff .del { background: var(--del); box-shadow: inset 3px 0 var(--del-edge) }
.diff .hunk { color: var(--link); background: var(--source) } .diff .file { font-weight: 600 }
footer { margin-top: 3em; color: var(--soft); font-size: .9em }
@media (max-width: 46em) { body { padding: 1em .8em 3em; font-size: 14px } nav { position: static }
  .facts div { flex-basis: 45% } .list thead { display: none }
  .list tr { display: block; padding: .4em 0; border-bottom: 1px solid var(--line) }
  .list td, .list td.number { display: block; border: 0; padding: .05em 0; text-align: left } }
@media print { :root, :root:not([data-colours=light]) { color-scheme: light; --page: #fff; --text: #000; --soft: #444;
  --line: #bbb; --card: #f6f8fa; --link: #000; --good: #1a7f37; --good-back: #fff; --bad: #cf222e; --bad-back: #fff;
  --warn: #9a6700; --warn-back: #fff; --add: #e6ffec; --add-edge: #2da44e; --del: #ffebe9; --del-edge: #cf222e;
  --source: #f1f4f8; --mnemonic: #000 }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  body { max-width: none; padding: 0; font-size: 10px } nav, .tools { display: none } code, pre, .code { font-size: 8px }
  .code { min-width: 0 } .wide { overflow: visible } .diff { white-space: pre-wrap } .diff span { width: auto }
  details.card { overflow: visible } h2 { break-after: avoid } tr, .facts div { break-inside: avoid } }
)";
}

std::string_view report_script() {
  return R"(
'use strict';
const root = document.documentElement, search = document.getElementById('search');
const colours = document.getElementById('colours'), found = document.getElementById('found');
for (const e of [search, colours]) e.hidden = false;
const items = [...document.querySelectorAll('[data-find]')];
const cards = [...document.querySelectorAll('.card:not([data-find])')].filter(c => c.querySelector('[data-find]'));
let waiting = 0;
search.addEventListener('input', () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const words = search.value.toLowerCase().split(/\s+/).filter(w => w);
    let shown = 0;
    for (const e of items) {
      e.hidden = !words.every(w => e.dataset.find.toLowerCase().includes(w));
      if (!e.hidden) ++shown;
    }
    // A file of which nothing is found.
    for (const card of cards) card.hidden = words.length && !card.querySelector('[data-find]:not([hidden])');
    found.textContent = words.length ? shown + ' of ' + items.length : '';
  }, 120);
});
colours.addEventListener('click', () => {
  const dark = getComputedStyle(root).getPropertyValue('--page').trim() !== '#fff';
  root.dataset.colours = dark ? 'light' : 'dark';
});
const open = () => {
  // What the guide says of a rule stays folded: it is long, and no part of the report.
  const folded = [...document.querySelectorAll('details:not([open])')].filter(d => !d.querySelector(':scope > .rule'));
  if (folded.length < 60) for (const d of folded) d.open = true;
};
addEventListener('beforeprint', open);
const reveal = () => {
  const e = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!e) return;
  for (let d = e.closest('details'); d; d = d.parentElement.closest('details')) d.open = true;
  const card = e.closest('.same') && e.closest('.card');
  if (card) card.querySelector('.all').checked = true;
  e.scrollIntoView();
};
addEventListener('hashchange', reveal);
reveal();
)";
}

}  // namespace kpatch
