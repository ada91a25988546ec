// "Did it go through?": whoever has the code of a visit and the birth date hears how it stands, without signing in.
import { t, learn } from './i18n.js';
import { $, show, h, refill, field, busy, problemBox, tell, keepDraft } from './ui.js';
import * as api from './api.js';
import { longDay, wallClock, cityOf } from './time.js';

learn({
  'lookup.lead': ['Код пришёл в SMS или его назвали в регистратуре. Входить не нужно, имён мы не покажем.', 'The code came by SMS, or the office read it out. There is no need to sign in, and no names are shown.'],
  'lookup.code': ['Код записи, шесть знаков', 'Booking code, six characters'],
  'lookup.code.bad': ['В коде шесть букв и цифр.', 'The code has six letters and digits.'],
  'lookup.born': ['Дата рождения пациента', 'The patient’s date of birth'],
  'lookup.born.bad': ['Выберите дату рождения.', 'Choose the date of birth.'],
  'lookup.do': ['Узнать', 'Find out'],
  'lookup.proposed': ['Больница ещё не ответила на запрос.', 'The clinic has not answered the request yet.'],
  'lookup.pending': ['Время пока только придержано. Войдите и подтвердите, иначе оно пропадёт.', 'The time is only held. Sign in and confirm it, or it is lost.'],
  'lookup.booked': ['Да, запись есть.', 'Yes, the visit is booked.'],
  'lookup.offered': ['Врача в это время не будет. Выберите другое время: оно придержано для вас.', 'The doctor is away then. Choose another time: some are held for you.'],
  'lookup.offer_over': ['Врача в это время не будет, и другого времени мы больше не держим. Больница вам позвонит. Можно и самим войти и выбрать другое время.', 'The doctor is away then, and we hold no other time any more. The clinic will call you. You can also sign in and choose another time.'],
  'lookup.arrived': ['Да, запись есть, и вас уже ждут.', 'Yes, the visit is booked, and you have arrived.'],
  'lookup.fulfilled': ['Этот приём уже прошёл.', 'This visit has taken place.'],
  'lookup.cancelled': ['Нет, этой записи больше нет: её отменили, или время не подтвердили вовремя.', 'No, it is not booked any more: it was called off, or the time was not confirmed in time.'],
  'lookup.noshow': ['Этот приём не состоялся.', 'This visit did not take place.'],
  'lookup.none': ['Такой записи нет. Проверьте код и дату рождения: подходят только оба вместе.', 'There is no such visit. Check the code and the date of birth: only both together match.'],
  'lookup.home': ['Войти по номеру телефона', 'Sign in with a phone number'],
});

export async function lookupScreen() {
  const code = field('lookup-code', t('lookup.code'), { autocomplete: 'off', autocapitalize: 'characters', spellcheck: 'false', maxlength: 12, required: true });
  const born = field('lookup-born', t('lookup.born'), { type: 'date', autocomplete: 'bday', required: true });
  const found = h('div', { id: 'lookup-found', role: 'status' });
  const form = h('form', { class: 'stack', novalidate: true }, code, born, problemBox(), h('button', { id: 'lookup-do', class: 'primary', type: 'submit' }, t('lookup.do')));
  show(h('h1', {}, t('lookup.title')), h('p', { class: 'lead' }, t('lookup.lead')), form, found,
    h('a', { class: 'button quiet', id: 'lookup-home', href: '#/' }, t('lookup.home')));
  keepDraft($('#lookup-code'), 'lookup');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    refill(found);
    const typed = $('#lookup-code').value.replace(/[\s-]/g, '').toUpperCase();
    const wrong = typed.length !== 6 ? ['#lookup-code', 'lookup.code.bad'] : !$('#lookup-born').value ? ['#lookup-born', 'lookup.born.bad'] : null;
    for (const input of form.querySelectorAll('input')) input.removeAttribute('aria-invalid');
    if (wrong) {
      $(wrong[0]).setAttribute('aria-invalid', 'true');
      tell($('#problem'), { code: 'incomplete', detail: t(wrong[1]) });
      return $(wrong[0]).focus();
    }
    return busy($('#lookup-do'), async () => {
      try {
        draw(await api.lookUp({ code: typed, birth_date: $('#lookup-born').value }));
      } catch (error) {
        throw error.status === 404 ? { code: 'not_there', detail: t('lookup.none') } : error;
      }
    });
  });

  function draw({ status, local_start: local, time_zone: zone, offered, offer_over: over }) {
    const said = over ? 'offer_over' : offered ? 'offered' : status;
    const stands = ['booked', 'arrived'].includes(said);
    refill(found, h('div', { class: 'card ticket', data: { status: said } },
      h('p', { class: stands ? 'good' : '' }, h('strong', {}, t(`lookup.${said}`))),
      status !== 'cancelled' && h('p', { class: 'when' }, `${longDay(`${local.slice(0, 19)}Z`, 'UTC')}, ${wallClock(local)}`),
      status !== 'cancelled' && h('p', { class: 'hint' }, `${t('local.time')} (${cityOf(zone)})`)));
  }
}
