// How the widget looks. Pages change it by the variables that begin with --pingback; README.md lists them.

export const STYLE = `
:host { all: initial; display: flex; flex-direction: column; height: 100%; max-height: inherit; color-scheme: light dark;
  --accent: var(--pingback-accent, light-dark(#1f5fd6, #7fa9ff));
  --on-accent: var(--pingback-on-accent, light-dark(#fff, #0b1220));
  --ink: var(--pingback-ink, light-dark(#1b2130, #e9ecf3));
  --quiet: var(--pingback-quiet, light-dark(#586174, #a5aec0));
  --paper: var(--pingback-paper, light-dark(#fff, #151a23));
  --bubble: var(--pingback-bubble, light-dark(#f0f3f8, #242b39));
  --line: var(--pingback-line, light-dark(#dfe4ec, #2f3747));
  --radius: var(--pingback-radius, 1rem);
  font: 400 .9375rem/1.5 var(--pingback-font, system-ui, sans-serif); color: var(--ink); }
* { box-sizing: border-box; }
p, ul { margin: 0; padding: 0; list-style: none; }
button { font: inherit; color: inherit; border: 0; cursor: pointer; }
a { color: var(--accent); unicode-bidi: isolate; overflow-wrap: anywhere; text-underline-offset: .15em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
[hidden] { display: none !important; }
section { position: relative; display: flex; flex-direction: column; flex: 1; min-height: 0; max-height: 100dvh; overflow: hidden;
  color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: var(--radius); }
.log { flex: 1; min-height: 0; overflow: hidden auto; overflow-anchor: none; overscroll-behavior: contain;
  padding: 1rem; scrollbar-width: thin; }
.log:focus-visible { outline-offset: -3px; border-radius: var(--radius); }
article { width: fit-content; max-width: 85%; margin: .25rem 0 0; padding: .5rem .75rem; background: var(--bubble);
  border-radius: var(--radius); border-start-start-radius: .25rem; }
article:not(.same) { margin-block-start: .875rem; }
.same header { display: none; }
.mine { margin-inline-start: auto; color: var(--on-accent); background: var(--accent);
  border-radius: var(--radius); border-end-end-radius: .25rem; }
.mine :is(a, time, header, small) { color: inherit; }
header { display: flex; align-items: center; gap: .5rem; margin-block-end: .25rem; font-weight: 600; font-size: .8125rem; }
.face { width: 1.5rem; height: 1.5rem; border-radius: 50%; object-fit: cover; background: var(--line); }
article > p { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; text-align: start; }
article > time { display: block; width: fit-content; margin: .125rem 0 0; margin-inline-start: auto; }
time, small, .state, .empty { font-size: .75rem; color: var(--quiet); unicode-bidi: isolate; }
ul { display: grid; grid-template-columns: minmax(0, auto); gap: .375rem; margin-block-start: .375rem; }
.picture, .file { display: flex; border: 1px solid var(--line); border-radius: .625rem; overflow: hidden; background: var(--paper); }
.picture { width: 16rem; max-width: 100%; }
.picture img { width: 100%; aspect-ratio: 4 / 3; object-fit: contain; }
.file { flex-direction: column; padding: .375rem .75rem; font-weight: 500; text-decoration: none; }
.file:hover bdi { text-decoration: underline; }
.mine .file { color: var(--accent); }
.mine .file small { color: var(--quiet); }
.day { margin: 1.25rem 0 .25rem; text-align: center; }
.empty + .day { margin-block-start: 0; }
.empty { padding: 3rem 1rem; text-align: center; font-size: .875rem; }
.earlier { display: block; margin: 0 auto .5rem; padding: .25rem .75rem; border-radius: 2rem; color: var(--accent); background: none; }
.fresh { position: absolute; inset-inline: 0; bottom: 100%; width: fit-content; margin: 0 auto .5rem; padding: .375rem .875rem;
  border-radius: 2rem; font-weight: 600; font-size: .8125rem; color: var(--on-accent); background: var(--accent);
  box-shadow: 0 2px 10px #0004; }
.foot { position: relative; }
.state { padding: .375rem 1rem; border-block-start: 1px solid var(--line); text-align: center; }
.state:empty { display: none; }
.composer { display: flex; flex-wrap: wrap; align-items: end; gap: .5rem; padding: .625rem; border-block-start: 1px solid var(--line); }
textarea { flex: 1; min-width: 0; max-height: 10rem; padding: .5rem .75rem; resize: none; font: inherit; color: inherit;
  background: var(--bubble); border: 1px solid var(--line); border-radius: var(--radius); }
textarea::placeholder { color: var(--quiet); opacity: 1; }
.send { padding: .5rem .875rem; border-radius: var(--radius); font-weight: 600; color: var(--on-accent); background: var(--accent); }
.send:disabled { color: var(--quiet); background: var(--bubble); cursor: default; }
.note { flex-basis: 100%; font-size: .75rem; color: var(--quiet); }
.note:empty { display: none; }
footer { font-size: .75rem; text-align: end; }
footer button { padding: 0; background: none; text-decoration: underline; }
.refused { color: inherit; background: var(--bubble); border: 1px solid #c8102e; }
.refused time { color: var(--quiet); }
:host(.launcher) { position: fixed; inset-block-end: 1.25rem; inset-inline-end: 1.25rem; z-index: 2147483000; height: auto;
  max-height: none; }
.launcher { display: flex; flex-direction: column; align-items: flex-end; gap: .75rem; }
.launcher section { flex: none; width: min(24rem, calc(100vw - 2.5rem)); height: min(36rem, calc(100dvh - 7rem));
  box-shadow: 0 12px 40px #0003; }
.bar { display: flex; align-items: center; justify-content: space-between; padding: .5rem .5rem .5rem 1rem; font-weight: 600;
  border-block-end: 1px solid var(--line); }
.bar button { width: 2.25rem; height: 2.25rem; border-radius: 50%; background: none; font-size: 1.25rem; line-height: 1; }
.bar button:hover, .earlier:hover { background: var(--bubble); }
.knob { position: relative; width: 3.5rem; height: 3.5rem; padding: 0; border-radius: 50%; color: var(--on-accent);
  background: var(--accent); box-shadow: 0 4px 16px #0003; }
.knob svg { width: 1.625rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linejoin: round; vertical-align: middle; }
.badge::after { content: attr(data-count); }
.badge { position: absolute; inset-block-start: -.25rem; inset-inline-end: -.25rem; min-width: 1.375rem; padding: 0 .375rem;
  border-radius: 1rem; font-weight: 700; font-size: .75rem; line-height: 1.375rem; color: #fff; background: #c8102e; }
@media (max-width: 30rem) {
  .launcher section { position: fixed; inset: 0; width: auto; height: auto; border: 0; border-radius: 0; }
  section:not([hidden]) + .knob { display: none; }
}
@media (prefers-reduced-motion: no-preference) {
  .new, .launcher section { animation: come .2s ease-out; }
  .knob { transition: scale .15s; }
  .knob:hover { scale: 1.05; }
  @keyframes come { from { opacity: 0; translate: 0 .375rem; } }
}
@media (forced-colors: active) { section, article, .knob, .fresh { border: 1px solid; } }
`;
