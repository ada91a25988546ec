// Putting a patient on the waiting list, for whoever telephones or stands at the desk.
import './waitlist-words.js';
import './office-words.js';
import { t, counted } from './i18n.js';
import { h, put, refill, field, tell } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, longDay, now, PARTS, endOfDay } from './time.js';
import { findPatient } from './find-patient.js';
import { sheet } from './sheet.js';

const NOTICES = [0, 30, 60, 120, 240, 1440];
const NOTICE = 120;

/** "2 hours": how long before a visit its patient must know. */
export function noticeWords(minutes) {
  if (minutes === 0) return t('join.notice.none');
  if (minutes % 1440 === 0) return counted(minutes / 1440, 'day');
  return minutes % 60 === 0 ? counted(minutes / 60, 'hour') : counted(minutes, 'minute');
}

/**
 * Opens the form. `at`: {clinic, zone, done}, which hears the entry; `wish` what is known already: a patient, a service,
 * a practitioner, or the booked visit that is to be brought forward.
 */
export async function joinList({ clinic, zone, done }, wish = {}) {
  const { visit } = wish;
  const services = visit ? [visit.service] : await api.pages(api.query('/v1/healthcare-services', { organization: clinic.id, limit: 100 }));
  const window = sheet('join', t(visit ? 'visit.earlier' : 'join.title'));
  let patient = wish.patient ?? null;
  const who = patient ? null : findPatient('join', (found) => { patient = found; });
  const select = (id, label, options, chosen) => h('label', { for: id }, label, h('select', { id },
    options.map(([value, text]) => h('option', { value, selected: String(value) === String(chosen) }, text))));
  const service = select('join-service', t('visit.service'), services.map((one) => [one.id, one.name]), wish.service);
  const doctor = select('join-doctor', t('grid.doctor'), [['', t('book.doctor.any')]]);
  const notice = select('join-notice', t('join.notice'), NOTICES.map((minutes) => [minutes, noticeWords(minutes)]), NOTICE);
  const until = field('join-until', t('join.until'), { type: 'date', min: dayKey(now(), zone), max: visit ? dayKey(visit.start, zone) : null }, t('wait.until.hint'));
  const parts = h('fieldset', { id: 'join-parts', class: 'checks' }, h('legend', {}, t('join.parts')), PARTS.map((part) =>
    h('label', { class: 'check' }, h('input', { type: 'checkbox', value: part }), t(`wait.part.${part}`))));
  const urgent = h('input', { id: 'join-urgent', type: 'checkbox' });
  const submit = h('button', { id: 'join-do', class: 'primary', type: 'submit' }, t('join.do'));
  const form = h('form', { class: 'stack' },
    who ? [who.search, who.found] : h('p', { class: 'good', id: 'join-who', data: { patient: patient.id } }, h('strong', {}, patient.name)),
    h('p', { class: 'hint' }, t('join.how')),
    visit && h('p', { class: 'hint' }, t('join.keep', { when: `${longDay(visit.start, zone)}, ${clock(visit.start, zone)}` })),
    h('div', { class: 'inline' }, service, doctor), h('div', { class: 'inline top-aligned' }, until, notice), parts,
    h('label', { class: 'check' }, urgent, t('join.urgent')),
    h('div', { class: 'row' }, submit));
  put(window.body, form);
  if (who) who.input.focus();

  const chosen = () => service.querySelector('select').value;
  /** Who gives the service; the form can be sent before they are known. */
  async function doctors() {
    const id = chosen();
    const found = await api.pages(api.query('/v1/practitioners', { service: id, limit: 100 })).catch(() => []);
    if (id !== chosen()) return;
    const list = doctor.querySelector('select');
    const kept = list.value || wish.practitioner;
    refill(list, h('option', { value: '' }, t('book.doctor.any')), found.map((one) => h('option', { value: one.id, selected: one.id === kept }, one.name)));
  }
  service.addEventListener('change', doctors);
  doctors();

  const key = api.newKey();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!patient) {
      tell(window.problem, { code: 'nobody', detail: t('join.who') });
      return who.input.focus();
    }
    return window.busy(submit, async () => {
      const last = until.querySelector('input').value;
      const practitioner = doctor.querySelector('select').value;
      const day = [...parts.querySelectorAll('input:checked')].map((box) => box.value);
      const entry = await api.post('/v1/waitlist', {
        patient: patient.id, service: chosen(), notice_minutes: Number(notice.querySelector('select').value),
        ...(practitioner ? { practitioner } : {}),
        ...(last ? { latest: endOfDay(last, zone) } : {}),
        ...(day.length ? { parts_of_day: day } : {}),
        ...(urgent.checked ? { priority: 'urgent' } : {}),
        ...(visit ? { appointment: visit.id } : {}),
      }, key);
      window.close();
      await done(entry);
    });
  });
}
