// The clinic's waiting list: who waits for what, in the order in which they are asked, and what is held for whom.
import './waitlist-words.js';
import './office-words.js';
import { t } from './i18n.js';
import { $, show, h, put, refill, button, busy, asking, poll, onLeave, problemBox, tell, say } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, dayNumber, longDay, now, wallClock, cityOf } from './time.js';
import { countdown } from './countdown.js';
import { slotWords } from './free-times.js';
import { joinList, noticeWords } from './board-join.js';

const POLL_S = 15;
const PAGE = 100;
const DAY_MS = 86_400_000;
const STATUSES = ['', 'offered', 'waiting'];
/** The server stamps a wish that begins now some moments before it keeps it. */
const NOW_MS = 60_000;

/** Shows the list; `sought` is the entry that an address leads to. */
export async function waitlist({ clinic, zone, waiting }, sought) {
  const { hash } = location;
  const services = await api.pages(api.query('/v1/healthcare-services', { organization: clinic.id, limit: 100 }));
  if (location.hash !== hash) return;
  const only = { service: '', status: '' };
  let pages = 1;
  let drawn = new Map();
  let gone = false;
  let turn = 0;
  const list = h('div', { id: 'waitlist', class: 'stack' }, h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const count = h('p', { id: 'wl-count', class: 'lead' });
  const note = h('p', { id: 'wl-note', role: 'status', tabindex: '-1', hidden: true });
  const more = button('wl-more', t('wl.more'), (event) => busy(event.currentTarget, () => {
    pages += 1;
    return load();
  }), 'second', { hidden: true });
  const choice = (id, label, name, options) => h('label', { class: 'filter', for: id }, h('span', {}, label),
    h('select', { id, on: { change: ({ currentTarget }) => { only[name] = currentTarget.value; pages = 1; watch.now(); } } },
      options.map(([value, text]) => h('option', { value }, text))));
  show(
    h('div', { class: 'board-head' },
      h('div', {}, h('h1', {}, t('wl.title')), h('p', { class: 'hint' }, `${clinic.name} · ${t('board.zone', { zone: cityOf(zone) })}`)),
      button('wl-add', t('wl.add'), (event) => busy(event.currentTarget, () => joinList({ clinic, zone, done: joined })), 'primary')),
    h('div', { class: 'spread' }, h('div', {}, h('p', { class: 'hint' }, t('wl.lead')), count),
      h('div', { class: 'filters' },
        choice('wl-service', t('wl.service'), 'service', [['', t('wl.service.all')], ...services.map((one) => [one.id, one.name])]),
        choice('wl-status', t('wl.status'), 'status', STATUSES.map((status) => [status, t(`wl.status.${status || 'all'}`)])))),
    problemBox(), note, list, more);
  const watch = poll(load, POLL_S);
  onLeave(() => { gone = true; watch.stop(); });

  async function load() {
    // What was asked last is what is shown, whichever answer comes last.
    const mine = turn += 1;
    let path = api.query('/v1/waitlist', { order: 'turn', organization: clinic.id, ...only, limit: PAGE });
    const found = [];
    try {
      for (let page = 0; page < pages && path; page += 1) {
        const { data, link } = await api.call('GET', path);
        found.push(...data.items);
        path = /<([^>]+)>; rel="next"/.exec(link ?? '')?.[1];
      }
    } catch (error) {
      if (gone || mine !== turn || error.status === 401) return;
      tell($('#problem'), error.status === 0 ? { code: 'stale', detail: t('wl.stale') } : error);
      list.querySelector('.loading')?.remove();
      return;
    }
    if (gone || mine !== turn) return;
    $('#problem').hidden = true;
    more.hidden = !path;
    const all = !only.service && !only.status;
    if (all && !path) waiting(found.length);
    const held = found.filter((one) => one.offer).length;
    count.textContent = !found.length ? '' : t(path ? 'wl.count.more' : held ? 'wl.count' : 'wl.count.none', { n: found.length, held });
    draw(found, all);
  }

  /** Rows that say the same as before stay what they are, with the focus and an open question in them. */
  function draw(found, all) {
    const focused = document.activeElement;
    const row = focused?.closest?.('[data-entry]')?.dataset.entry;
    const rows = new Map(found.map((entry) => {
      const mark = JSON.stringify(entry);
      const kept = drawn.get(entry.id);
      const stays = kept && (kept.mark === mark || kept.node.querySelector('.question'));
      if (stays) return [entry.id, kept];
      const node = card(entry);
      node.querySelector('details').open = kept?.node.querySelector('details').open ?? false;
      return [entry.id, { mark, node }];
    }));
    drawn = rows;
    // One can still wait for a service that is no longer offered.
    const named = new Map([...services, ...found.map((entry) => entry.service)].map((service) => [service.id, service]));
    const groups = [...named.values()].map((service) => [service, found.filter((entry) => entry.service.id === service.id)]).filter(([, own]) => own.length);
    refill(list, groups.length ? groups.map(([service, own]) => h('section', { class: 'stack', 'aria-label': service.name },
      h('h2', {}, service.name), h('ol', { class: 'list' }, own.map((entry) => rows.get(entry.id).node))))
      : h('p', { id: 'wl-none', class: 'lead' }, t(all ? 'wl.none' : 'wl.none.such')));
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    else if (row && document.activeElement === document.body) (rows.get(row)?.node ?? note).focus({ preventScroll: true });
    if (sought) lead();
  }

  function lead() {
    const { node } = drawn.get(sought) ?? {};
    sought = null;
    history.replaceState(null, '', '#/waitlist');
    node?.scrollIntoView({ block: 'center' });
    node?.focus({ preventScroll: true });
  }

  function noted(text, bad = false) {
    note.className = bad ? 'problem' : 'good';
    note.textContent = text;
    note.hidden = false;
    say(text);
  }

  /** "1 Dec", with the year when it is another one. */
  const shortDay = (instant) => {
    const key = dayKey(instant, zone);
    const year = key.slice(0, 4);
    return `${dayNumber(key)}${year === dayKey(now(), zone).slice(0, 4) ? '' : ` ${year}`}`;
  };
  const minute = (instant) => `${shortDay(instant)}, ${clock(instant, zone)}`;
  const timeOf = (start, practitioner) => `${longDay(start, zone)}, ${clock(start, zone)}${practitioner ? `, ${practitioner.name}` : ''}`;

  async function joined(entry) {
    sought = entry.id;
    const { patient: { name }, offer, place } = entry;
    noted(offer ? t('wl.joined.offered', { name, when: timeOf(offer.start, offer.practitioner) }) : t('wl.joined', { name, position: place.position }));
    await watch.now();
  }

  /** One line: the place, who and for what, what is held, and what can be done. */
  function card(entry) {
    const { offer, patient } = entry;
    return h('li', { class: `wish${offer ? ' live' : ''}`, tabindex: '-1', data: { entry: entry.id, status: entry.status }, 'aria-label': `${entry.place.position}. ${patient.name}` },
      h('span', { class: 'place', 'aria-hidden': 'true' }, entry.place.position),
      h('div', {},
        h('p', {}, h('strong', {}, patient.name), ' ', entry.priority === 'urgent' && h('span', { class: 'tag urgent' }, t('wl.urgent')), ' ', h('span', { class: 'code small', translate: 'no' }, entry.code)),
        h('p', { class: 'hint' }, wishWords(entry))),
      h('div', {}, offer ? [
        h('p', { class: 'starts' }, h('strong', {}, timeOf(offer.start))),
        h('p', { class: 'hint' }, `${offer.practitioner.name} · ${t('wl.there', { time: `${wallClock(offer.local_start)}, ${cityOf(offer.time_zone)}` })} · `,
          h('a', { href: `#/day/${dayKey(offer.start, zone)}/${offer.held}` }, t('wl.onboard'))),
        countdown(offer.expires_at, t('wl.held', { when: dayKey(offer.expires_at, zone) === dayKey(now(), zone) ? clock(offer.expires_at, zone) : timeOf(offer.expires_at) })),
      ] : h('p', { class: 'hint' }, t('wl.waiting'))),
      acts(entry), why(entry));
  }

  /** "any doctor · until 12 December · waits since …" */
  function wishWords(entry) {
    const { earliest, latest, created_at: since } = entry;
    // A wish for a few hours needs its clock times; one for weeks only its days.
    const when = Date.parse(latest) - Date.parse(earliest) < DAY_MS ? minute : shortDay;
    return [
      entry.practitioner ? t('wl.with', { name: entry.practitioner.name }) : t('wl.anybody'),
      Date.parse(earliest) > Date.parse(since) + NOW_MS && t('wl.from', { when: when(earliest) }),
      entry.appointment ? t('wl.before', { when: minute(Date.parse(latest) + 1) }) : t('wl.until', { when: when(latest) }),
      ...entry.parts_of_day.map((part) => t(`wait.part.${part}`)),
      t('wl.since', { when: minute(since) }),
      entry.lapses > 0 && t('wl.lapses', { n: entry.lapses }),
    ].filter(Boolean).join(' · ');
  }

  /** The server's own words on the place, and how to reach whoever waits. */
  function why({ place, patient, notice_minutes: minutes }) {
    const reach = h('p', { class: 'hint reach' });
    const more = h('details', { class: 'why' }, h('summary', {}, t('wl.why')),
      h('p', { class: 'hint explanation' }, place.explanation), minutes > 0 && h('p', { class: 'hint' }, t('wl.notice', { long: noticeWords(minutes) })), reach);
    more.addEventListener('toggle', async () => {
      if (!more.open || reach.childNodes.length) return;
      try {
        const { phone, location: home } = await api.get(`/v1/patients/${patient.id}`);
        put(reach, home?.name, home && phone && ' · ', phone && h('a', { href: `tel:${phone}` }, phone));
      } catch (error) {
        reach.textContent = error.detail ?? t('problem.unknown');
      }
    });
    return more;
  }

  function acts(entry) {
    const { id, offer, patient: { name } } = entry;
    const problem = problemBox(`problem-${id}`);
    const act = (word, said) => async () => {
      try {
        noted(said(await api.post(`/v1/waitlist/${id}/${word}`)));
      } catch (error) {
        if (error.code === 'offer_over') {
          const free = (error.alternatives ?? []).map((slot) => slotWords(slot, zone)).join('; ');
          noted(`${t('wl.late', { name })} ${free && t('wl.instead', { times: free })}`, true);
        } else if (error.code === 'bad_state') noted(t('wl.changed'), true);
        else throw error;
      }
      await watch.now();
    };
    const pressed = (word, said) => (event) => busy(event.currentTarget, act(word, said), problem);
    return h('div', { class: 'does' },
      h('div', { class: 'row' },
        offer && button(`accept-${id}`, t(entry.appointment ? 'wl.accept.move' : 'wl.accept'), pressed('accept', (visit) => t('wl.booked', { name, when: timeOf(visit.start, visit.practitioner), code: visit.code })), 'primary accept'),
        offer && button(`decline-${id}`, t('wl.decline'), pressed('decline', () => t('wl.declined', { name })), 'second decline'),
        asking(`withdraw-${id}`, t('wl.withdraw'), t('wl.withdraw.ask', { name }), t('wl.withdraw.yes'), act('withdraw', () => t('wl.withdrawn', { name })))),
      problem);
  }
}
