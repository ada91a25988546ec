// What was called off of a day, and its way back: whoever called off the wrong visit puts that right until it begins.
import { t, learn } from './i18n.js';
import { $, h, refill, button, busy } from './ui.js';
import * as api from './api.js';
import { clock, now } from './time.js';
import { ms } from './board-grid.js';
import { isOffice } from './board-rights.js';

learn({
  'off.title': ['Отменено: {n}', 'Called off: {n}'],
  'off.office': ['вернуть может регистратура', 'the office can take it back'],
  'off.more': ['Показаны первые {n}, есть и другие.', 'The first {n} are shown; there are more.'],
  'off.back': ['Вернуть приём', 'Book it again'],
  'off.leave': ['отменено из-за отсутствия врача', 'called off for the doctor’s leave'],
  'off.begun': ['вернуть уже нельзя', 'it can no longer be taken back'],
});

/** Books a visit again that was called off, and shows it. */
export async function takeBack(board, visit) {
  await api.post(`/v1/appointments/${visit.id}/undo`);
  await board.changed(t('done.undone', { patient: visit.patient.name }), visit.id);
}

/** Who may take back what was called off, or how somebody came: the office, and whose visit it is. */
export const mayUndo = ({ me, clinic }, visit) => me.practitioner?.id === visit.practitioner || isOffice(me, clinic);

/** The part of the page under the day; nothing is drawn anew under a finger. */
export function calledOff(board) {
  const title = h('summary', {});
  const list = h('ul', { class: 'list' });
  const more = h('p', { class: 'hint', hidden: true });
  const node = h('details', { id: 'called-off', class: 'card', hidden: true }, title, list, more);

  function draw({ called_off: visits, called_off_more: isCut }) {
    node.hidden = !visits.length;
    more.hidden = !isCut;
    more.textContent = isCut ? t('off.more', { n: visits.length }) : '';
    title.textContent = t('off.title', { n: visits.length });
    const focused = document.activeElement?.closest?.('#called-off [data-off]')?.dataset.off;
    refill(list, visits.map(row));
    if (focused) (list.querySelector(`[data-off="${focused}"] button`) ?? title).focus();
  }

  function row(visit) {
    const doctor = board.data.practitioners.find((one) => one.id === visit.practitioner)?.name ?? '';
    const why = visit.cancellation_code && (visit.cancellation_code === 'leave' ? t('off.leave') : t(`call-off.${visit.cancellation_code}`));
    const inTime = visit.undo_until && now() < ms(visit.undo_until);
    const back = inTime && mayUndo(board, visit);
    return h('li', { class: 'entry', data: { off: visit.id } },
      h('time', { datetime: visit.start }, clock(visit.start, board.zone)),
      h('div', {}, h('strong', {}, visit.patient.name), h('p', { class: 'hint' }, [visit.service.name, doctor, why].filter(Boolean).join(' · '))),
      h('div', { class: 'row' }, back
        ? button(`off-${visit.id}`, t('off.back'), (event) => busy(event.currentTarget, () => takeBack(board, visit), $('#problem')), 'second', { 'aria-label': `${t('off.back')}: ${visit.patient.name}, ${clock(visit.start, board.zone)}` })
        : h('p', { class: 'hint' }, t(inTime ? 'off.office' : 'off.begun'))));
  }

  return { node, draw };
}
