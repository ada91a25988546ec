// The wait as a person hears it: how many come before, about when it is their turn, and what they can do about it.
import { t, learn } from './i18n.js';
import { h, refill, button } from './ui.js';
import { clock, now } from './time.js';

const MINUTE = 60_000;
const STEP = 5;
/** Beyond this a clock says more than a number of minutes. */
const LONG = 120;

learn({
  'wait.next': ['Вы следующий.', 'You are next.'],
  'wait.ahead': ['Перед вами: {count}.', 'Before you: {count}.'],
  'wait.at': ['Врач примет вас примерно в {from}.', 'The doctor will see you at about {from}.'],
  'wait.between': ['Врач примет вас примерно с {from} до {to}.', 'The doctor will see you between about {from} and {to}.'],
  'wait.not_before': ['Не раньше {from}.', 'Not before {from}.'],
  'wait.minutes': ['Ждать {low}–{high} минут.', 'A wait of {low} to {high} minutes.'],
  'wait.up_to': ['Ждать до {high} минут.', 'A wait of up to {high} minutes.'],
  'wait.soon': ['Это может быть в любую минуту.', 'It can be any minute now.'],
  'wait.late': ['Врач задерживается.', 'The doctor is running late.'],
  'wait.choice': ['Можно подождать или выбрать другое время: ваше место пока за вами.', 'You can wait, or choose another time; your place is yours until then.'],
  'wait.here': ['Подожду', 'I will wait'],
  'wait.move': ['Перенести приём', 'Move the visit'],
});

/** The same from both sources: the answer over HTTP and the message on the socket. */
const times = (place) => place.eta ?? place;

/** Sentences about a place in the queue, the most needed first. */
export function waitWords(place, zone) {
  const { earliest, latest } = times(place);
  const first = [place.late_minutes ? t('wait.late') : '', place.position > 1 ? t('wait.ahead', { count: place.position - 1 }) : t('wait.next')];
  const away = (instant) => Math.max(0, (Date.parse(instant) - now()) / MINUTE);
  const low = Math.floor(away(earliest) / STEP) * STEP;
  const from = clock(earliest, zone);
  // Of an end nothing is known while the doctor should be there and is not.
  if (!latest) return [...first, low ? t('wait.not_before', { from }) : ''].filter(Boolean);
  const to = clock(latest, zone);
  const high = Math.ceil(away(latest) / STEP) * STEP;
  let long = '';
  if (high <= STEP) long = t('wait.soon');
  else if (from !== to && high <= LONG) long = low ? t('wait.minutes', { low, high }) : t('wait.up_to', { high });
  return [...first, from === to ? t('wait.at', { from }) : t('wait.between', { from, to }), long].filter(Boolean);
}

/** A card that is filled with each answer; without a place it is not there. */
export function waitCard(visit) {
  const line = h('p', { id: 'wait' });
  const choice = h('div', { id: 'wait-choice', class: 'stack', hidden: true });
  const node = h('div', { id: 'wait-card', class: 'card', 'aria-live': 'polite', hidden: true }, line, choice);
  let chosen = null;
  function draw({ queue }) {
    node.hidden = !queue;
    if (!queue) return;
    Object.assign(node.dataset, { position: queue.position, earliest: queue.earliest, latest: queue.latest ?? '', late: queue.late_minutes ?? 0 });
    const said = waitWords(queue, visit.time_zone).join(' ');
    if (line.textContent !== said) line.textContent = said;
    // Asked once for each word of the doctor's: whoever has said that they wait is left in peace.
    const asked = queue.late_minutes ? queue.late_declared_at : null;
    choice.hidden = !asked || chosen === asked;
    if (choice.hidden || choice.dataset.asked === asked) return;
    choice.dataset.asked = asked;
    refill(choice, h('p', { class: 'banner' }, t('wait.choice')),
      h('div', { class: 'row' },
        button('wait-here', t('wait.here'), () => { chosen = asked; choice.hidden = true; }),
        h('a', { class: 'button second', id: 'wait-move', href: `#/move/${visit.appointment.id}` }, t('wait.move'))));
  }
  return { node, draw };
}
