// A dialog over the page: the platform keeps the focus inside, Escape closes it, the focus goes back.
import { t } from './i18n.js';
import { h, problemBox, busy } from './ui.js';

/** Opens a dialog. `onClose` hears that it is gone, however it went. */
export function sheet(id, title, onClose = () => {}) {
  const body = h('div', { class: 'stack sheet-body' });
  const problem = problemBox(`${id}-problem`);
  const heading = h('h2', { id: `${id}-title`, tabindex: '-1' }, title);
  const node = h('dialog', { id, class: 'sheet', 'aria-labelledby': `${id}-title` },
    h('div', { class: 'sheet-head' }, heading,
      h('button', { type: 'button', class: 'quiet sheet-close', 'aria-label': t('sheet.close'), on: { click: () => node.close() } }, '×')),
    problem, body);
  node.addEventListener('close', () => { node.remove(); onClose(); });
  document.body.append(node);
  node.showModal();
  heading.focus();
  return {
    node, body, problem,
    close: () => node.close(),
    /** One action of one button; its failure is said at the top of this dialog. */
    busy: async (target, work) => {
      await busy(target, work, problem);
      if (!problem.hidden) problem.scrollIntoView({ block: 'nearest' });
    },
  };
}

export const sheetOpen = () => document.querySelector('dialog[open]') !== null;
