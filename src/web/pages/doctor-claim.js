// Who waits for a colleague who is not free: how long, for whom and why, and one button that takes whoever is next.
import { t, learn } from './i18n.js';
import { h, refill, button, busy, problemBox } from './ui.js';
import * as api from './api.js';
import { clock, waitingFor } from './time.js';
import './claim-words.js';

learn({
  'claim.title': ['Ждут коллег', 'Waiting for colleagues'],
  'claim.take': ['Принять следующего', 'See the next one'],
  'claim.hint': ['Пациент останется в комнате ожидания и узнает, что его примете вы.', 'The patient stays in the waiting room and hears that you will see them.'],
  'claim.busy': ['Сейчас вы на приёме, или вас ждут: сначала ваши пациенты.', 'You are in a visit, or somebody waits for you: your own patients come first.'],
  'claim.full': ['До вашего следующего приёма никого не успеть принять.', 'There is not enough time before your next visit.'],
  'claim.lost': ['{at}: пациента, записанного к вам на {start}, принимает {name}.', '{at}: {name} sees the patient who was booked with you for {start}.'],
  'claim.seen': ['Понятно', 'Understood'],
  'problem.nobody_waits': ['Уже никто не ждёт: кто-то успел раньше.', 'Nobody waits any more: somebody was quicker.'],
  'problem.not_free': ['Сейчас не получится: вы на приёме, вас ждут или скоро следующий приём.', 'Not now: you are in a visit, somebody waits for you, or your next visit is too soon.'],
});

const SEEN = 'feldsher.claims.seen';

/** Both parts of one doctor's day; `look` asks what is known now. */
export function claimBox({ practitioner, zone }) {
  const path = `/v1/practitioners/${practitioner.id}`;
  const list = h('ul', { id: 'claimable', class: 'list', 'aria-live': 'polite' });
  const hint = h('p', { id: 'claim-hint', class: 'hint' });
  const take = button('claim', t('claim.take'), (event) => busy(event.currentTarget, act, problem), 'primary');
  const problem = problemBox('claim-problem');
  const waits = h('section', { id: 'claims', class: 'stack', hidden: true }, h('h2', {}, t('claim.title')), take, hint, problem, list);
  const lost = h('div', { id: 'claims-lost', class: 'stack', role: 'status' });
  const ask = api.watched(`${path}/claimable`);
  let drawn = '';
  let told = '';

  async function act() {
    try {
      const visit = await api.post(`${path}/claims`, {});
      location.hash = `#/visit/${visit.id}`;
    } catch (error) {
      await look().catch(() => {});
      waits.hidden = false;
      throw error;
    }
  }

  async function look() {
    const [found, taken] = await Promise.all([ask(), api.items(`${path}/claims`)]);
    draw(found);
    drawLost(taken.filter((one) => one.from.id === practitioner.id));
  }

  function draw({ free, items }) {
    // An unchanged list stays as it is: a redraw under the pointer or the focus would lose the press.
    const mark = JSON.stringify([free, items, items.map((one) => waitingFor(one.since))]);
    if (mark === drawn) return;
    drawn = mark;
    waits.hidden = !items.length;
    const fits = items.some((one) => one.fits);
    if (take.getAttribute('aria-busy') !== 'true') take.disabled = !fits;
    hint.textContent = t(fits ? 'claim.hint' : free ? 'claim.full' : 'claim.busy');
    refill(list, items.map((one) => h('li', { class: 'entry waiting', data: { encounter: one.encounter.id, because: one.because, fits: String(one.fits) } },
      h('time', { datetime: one.start }, clock(one.start, zone)),
      h('div', {},
        h('p', { class: 'row' }, h('strong', {}, t('claim.minutes', { service: one.service.name, minutes: one.minutes })),
          one.priority !== 'routine' && h('span', { class: 'tag' }, t('claim.urgent')),
          one.silent && h('span', { class: 'tag' }, t('claim.silent'))),
        h('p', { class: 'hint' }, t('claim.since', { start: clock(one.start, zone), since: clock(one.since, zone), long: waitingFor(one.since) })),
        h('p', { class: 'hint' }, t(`because.${one.because}`, { name: one.practitioner.name }))))));
  }

  /** What a colleague has taken stays said until it was read. */
  function drawLost(taken) {
    const seen = sessionStorage.getItem(SEEN) ?? '';
    const fresh = taken.filter((one) => one.at > seen);
    const mark = JSON.stringify(fresh);
    if (mark === told) return;
    told = mark;
    refill(lost, fresh.length > 0 && h('div', { class: 'banner stack' },
      fresh.map((one) => h('p', { data: { taken: one.start } }, t('claim.lost', { at: clock(one.at, zone), start: clock(one.start, zone), name: one.to.name }))),
      h('div', { class: 'row' }, button('claims-seen', t('claim.seen'), () => {
        sessionStorage.setItem(SEEN, fresh[0].at);
        drawLost(taken);
      }, 'second'))));
  }

  return { waits, lost, look };
}
