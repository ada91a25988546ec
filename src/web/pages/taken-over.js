// Another doctor sees the patient than the one for whom they waited: who, and why, in one sentence.
import { t, learn } from './i18n.js';
import { h } from './ui.js';

learn({
  'taken.in_visit': ['Вас примет {by}: {from} сейчас ведёт другой приём.', '{by} will see you: {from} is still in another visit.'],
  'taken.absent': ['Вас примет {by}: {from} сейчас не принимает.', '{by} will see you: {from} is away.'],
  'taken.late': ['Вас примет {by}: {from} задерживается.', '{by} will see you: {from} is running late.'],
  'taken.not_here': ['Вас примет {by}: {from} пока не на месте.', '{by} will see you: {from} has not come yet.'],
});

/** A sentence that is filled with each answer to the wait; without a reason it is not there. */
export function takenOver() {
  const node = h('p', { id: 'taken-over', class: 'banner', role: 'status', hidden: true });
  return {
    node,
    draw({ taken_over: taken }) {
      node.hidden = !taken;
      if (!taken) return;
      const said = t(`taken.${taken.because}`, { by: taken.by.name, from: taken.from.name });
      if (node.textContent !== said) node.textContent = said;
      node.dataset.by = taken.by.id;
    },
  };
}
