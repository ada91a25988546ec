// Whoever writes the note sees the patient all the same: the stage becomes small and stays in a corner
// when it is scrolled away, or stands in a window of its own where the browser has such windows.
import { t, learn } from './i18n.js';
import { h } from './ui.js';

/** Of less than this share of the stage nobody can see a face. */
const SEEN = 0.7;
const WINDOW = { width: 400, height: 300 };

learn({
  'sight.back': ['Вернуться к звонку', 'Back to the call'],
  'sight.window': ['В отдельном окне', 'In a window of its own'],
  'sight.title': ['Звонок', 'The call'],
});

/** Answers the place in which the stage stands, and how to let go of it. */
export function keepInSight(stage) {
  const back = h('button', { type: 'button', id: 'stage-back', class: 'stage-back', 'aria-label': t('sight.back') });
  stage.node.append(back);
  const node = h('div', { class: 'stage-place' }, stage.node);
  const shrink = (away) => {
    if (away === stage.node.classList.contains('afar')) return;
    // Its place is kept, so that the page does not jump under whoever reads.
    node.style.minHeight = away ? `${stage.node.offsetHeight}px` : '';
    stage.node.classList.toggle('afar', away);
  };
  const sight = new IntersectionObserver((seen) => {
    const { intersectionRatio: share, boundingClientRect: at } = seen.at(-1);
    shrink(at.height > 0 && share < SEEN);
  }, { threshold: [0, SEEN / 2, SEEN, 1] });
  sight.observe(node);
  back.addEventListener('click', () => {
    shrink(false);
    node.scrollIntoView({ block: 'center' });
    stage.mic.focus({ preventScroll: true });
  });
  let outside = null;
  if (window.documentPictureInPicture) {
    stage.bottom.querySelector('.call-meter').append(h('button', { type: 'button', id: 'stage-window', class: 'opener', on: { click: async () => { outside = await openWindow(stage); } } }, t('sight.window')));
  }
  return { node, stop() { sight.disconnect(); outside?.close(); } };
}

async function openWindow(stage) {
  const far = await window.documentPictureInPicture.requestWindow(WINDOW).catch(() => null);
  if (!far) return null;
  for (const { href } of document.querySelectorAll('link[rel=stylesheet]')) far.document.head.append(h('link', { rel: 'stylesheet', href }));
  far.document.title = t('sight.title');
  far.document.documentElement.lang = document.documentElement.lang;
  far.document.body.className = 'sight';
  far.document.body.append(stage.tiles.node);
  stage.node.classList.add('outside');
  stage.tiles.play();
  far.addEventListener('pagehide', () => {
    stage.node.prepend(stage.tiles.node);
    stage.node.classList.remove('outside');
    stage.tiles.play();
  });
  return far;
}
