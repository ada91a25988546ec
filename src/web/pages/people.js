// The people of a visit: who is asked to come, how far they have come, and what can be done about each.
import { t, learn } from './i18n.js';
import { h, $, refill, button, busy, field, say } from './ui.js';
import * as api from './api.js';
import './role-words.js';

const KIN = ['relative', 'interpreter'];
const STAFF = { feldsher: 'feldsher', specialist: 'doctor', trainee: null };
const OWN = ['patient', 'practitioner'];

learn({
  'people.title': ['Участники', 'People in the visit'],
  'people.invite': ['Пригласить ещё кого-то', 'Ask somebody to come'],
  'people.invite.hint': ['Мы пришлём SMS со ссылкой. О здоровье в нём ничего нет.', 'We send an SMS with a link. It says nothing about health.'],
  'people.role': ['Кого', 'As what'],
  'people.name': ['Имя, как его увидят остальные', 'The name that the others see'],
  'people.phone': ['Номер телефона', 'Phone number'],
  'people.colleague': ['Кто из клиники', 'Who of the clinic'],
  'people.nobody': ['В клинике некого пригласить.', 'There is nobody of the clinic to ask.'],
  'people.device': ['Откуда', 'From where'],
  'people.device.own': ['со своего устройства', 'from a device of their own'],
  'people.device.beside': ['рядом: {name}', 'beside {name}'],
  'people.send': ['Пригласить', 'Ask to come'],
  'people.invited': ['Приглашение отправлено: {name}', '{name} has been asked to come'],
  'people.remove': ['Убрать', 'Remove'],
  'people.remove.ask': ['{name} больше не участвует в этом приёме?', 'Shall {name} no longer take part in this visit?'],
  'people.aside': ['В соседнюю комнату', 'To the side room'],
  'people.back': ['Вернуть в разговор', 'Back to the others'],
  'people.ring': ['Вызвать', 'Ring'],
  'people.rung': ['Вызываем: {name}', 'Ringing {name}'],
  'people.lock': ['Закрыть дверь', 'Lock the door'],
  'people.unlock': ['Открыть дверь', 'Open the door'],
  'people.locked': ['Дверь закрыта: новых участников не пускаем.', 'The door is locked: nobody new comes in.'],
  'people.ready': ['Со стороны пациента все на месте: {here}.', 'Everybody on the patient’s side is here: {here}.'],
  'people.awaited': ['На месте: {here}. Ещё нет: {awaited}.', 'Here: {here}. Not here yet: {awaited}.'],
  'people.awaited.all': ['Ещё никого нет: {awaited}.', 'Nobody is here yet: {awaited}.'],
  'standing.invited': ['приглашён(а)', 'asked to come'],
  'standing.joining': ['входит', 'coming in'],
  'standing.testing': ['проверяет камеру и звук', 'checks camera and sound'],
  'standing.ready': ['ждёт', 'waiting'],
  'standing.in_call': ['в разговоре', 'in the call'],
  'standing.in_side_room': ['в соседней комнате', 'in the side room'],
  'standing.disconnected': ['связь пропала', 'disconnected'],
  'standing.left': ['вышел(а)', 'has left'],
  'standing.removed': ['больше не участвует', 'no longer takes part'],
  'problem.room_locked': ['Дверь закрыта: врач больше никого не пускает.', 'The door is locked: the doctor lets nobody new in.'],
  'problem.room_full': ['Разговаривать могут не больше четырёх устройств. Предложите сесть рядом с кем-то из участников.', 'Four devices can talk at once. Ask somebody to sit at the device of one of the others.'],
  'problem.consent_missing': ['Пациент ещё не согласен, чтобы этот человек был на приёме. Спросите его и отметьте ответ ниже.', 'The patient has not agreed to this person yet. Ask them, and write the answer down below.'],
  'problem.already_exists': ['Этот человек уже приглашён.', 'That person has been asked already.'],
  'problem.invalid_phone': ['Номер пишется с кодом страны: +7 913 000-00-00.', 'Write the number with its country code: +7 913 000-00-00.'],
});

const roleList = (roles) => roles.map((role) => t(`role.${role}`).toLowerCase()).join(', ');

/** One sentence: who of the patient's side is here, and who is not. */
export function sideWords({ ready, here, awaited }) {
  if (ready) return t('people.ready', { here: roleList(here) });
  return here.length ? t('people.awaited', { here: roleList(here), awaited: roleList(awaited) })
    : t('people.awaited.all', { awaited: roleList(awaited) });
}

/** Whose line is silent has a seat and is not here, as the patient hears it as well. */
function withoutSilent({ ready, here, awaited }, people) {
  const missed = [];
  for (const { role } of people.filter(({ standing }) => standing === 'disconnected')) {
    const at = here.indexOf(role);
    if (at < 0) continue;
    missed.push(role);
    here = here.filter((_, other) => other !== at);
  }
  return { ready: ready && !missed.length, here, awaited: [...awaited, ...missed] };
}

/** The panel. `clinic` is the clinic's id for its own people; without it one asks family and interpreters only. */
export class People {
  constructor({ path, clinic = null, conducts = false, changed = () => {}, refused = (error) => { throw error; }, looks = () => true }) {
    Object.assign(this, { path, clinic, conducts, changed, refused, looks, people: [], live: new Map() });
    this.side = h('p', { id: 'patient-side', class: 'hint', role: 'status', hidden: true });
    this.list = h('ul', { id: 'people', class: 'list people' });
    this.door = h('div', { class: 'row' });
    this.problem = h('p', { id: 'people-problem', class: 'problem', role: 'alert', hidden: true });
    this.form = h('details', { id: 'invite', class: 'card', on: { toggle: () => this.form.open && this.drawForm() } },
      h('summary', {}, t('people.invite')), h('div', { class: 'stack' }));
    this.node = h('section', { class: 'stack' }, h('h2', {}, t('people.title')), conducts && this.side, this.list, this.problem, this.door, this.form);
  }

  /** Asks the server and draws what has changed; `live` is the roster of the call, if one runs. */
  async look(live = new Map()) {
    const [people, visit] = await Promise.all([api.items(`${this.path}/participants`), this.conducts ? api.get(this.path) : null]);
    // What sockets say of a line or of a device check is newer than what is written down.
    this.people = people.map((one) => ({ ...one, standing: live.get(one.id)?.standing ?? one.standing, looks: live.has(one.id) && this.looks(live.get(one.id)) }));
    const side = visit && withoutSilent(visit.patient_side, this.people);
    this.awaits = side?.awaited ?? [];
    const mark = JSON.stringify([this.people, visit?.locked, side]);
    // A question that waits for its answer is not taken away from under the finger.
    if (mark === this.mark || this.list.querySelector('.question')) return;
    this.mark = mark;
    const shown = this.people.filter((one) => one.standing !== 'removed');
    refill(this.list, shown.map((one) => this.entry(one)));
    if (!visit) return;
    this.side.hidden = false;
    this.side.dataset.ready = side.ready;
    const said = sideWords(side);
    if (this.side.textContent !== said) this.side.textContent = said;
    refill(this.door,
      visit.locked && h('p', { id: 'locked', class: 'banner' }, t('people.locked')),
      button('lock', t(visit.locked ? 'people.unlock' : 'people.lock'), (event) => this.act(event, '/lock', { locked: !visit.locked }), 'second'));
    this.form.hidden = visit.locked;
  }

  async act(event, rest, body) {
    await busy(event.currentTarget, async () => {
      await api.post(`${this.path}${rest}`, body);
      await this.changed();
    }, this.problem);
  }

  entry(one) {
    const host = this.people.find((other) => other.id === one.sits_with);
    const about = [t(`role.${one.role}`), host && t('people.device.beside', { name: host.name }), t(`standing.${one.standing}`)];
    const inside = ['in_call', 'in_side_room'].includes(one.standing);
    const mine = !this.conducts && !KIN.includes(one.role);
    const place = h('div', { class: 'row' });
    const rest = () => refill(place,
      this.conducts && inside && !one.sits_with && h('button', { type: 'button', class: 'quiet aside', on: { click: (event) => this.act(event, `/participants/${one.id}/side`, { aside: one.standing === 'in_call' }) } },
        t(one.standing === 'in_call' ? 'people.aside' : 'people.back')),
      // The patient is rung from the box above.
      this.conducts && !OWN.includes(one.role) && !one.sits_with && !one.looks && h('button', { type: 'button', class: 'second ring', on: { click: ring } }, t('people.ring')),
      !OWN.includes(one.role) && !mine && h('button', { type: 'button', class: 'quiet remove', on: { click: ask } }, t('people.remove')));
    const ring = (event) => busy(event.currentTarget, async () => {
      await api.post(`${this.path}/rings`, { participant: one.id });
      say(t('people.rung', { name: one.name }));
    }, this.problem);
    const ask = () => {
      refill(place, h('p', { class: 'question' }, t('people.remove.ask', { name: one.name })),
        h('button', { type: 'button', class: 'danger remove-yes', on: { click: (event) => this.act(event, `/participants/${one.id}/remove`, {}).then(() => { rest(); return this.changed(); }) } }, t('people.remove')),
        h('button', { type: 'button', class: 'quiet', on: { click: rest } }, t('no')));
      place.querySelector('.remove-yes').focus();
    };
    rest();
    return h('li', { class: 'person', data: { participant: one.id, role: one.role, standing: one.standing } },
      h('div', {}, h('strong', {}, one.name), h('p', { class: 'hint' }, about.filter(Boolean).join(' · '))), place);
  }

  /* Asking somebody to come */

  drawForm() {
    const roles = this.clinic ? [...KIN, ...Object.keys(STAFF)] : KIN;
    const role = select('invite-role', t('people.role'), roles.map((name) => [name, t(`role.${name}`)]));
    const hosts = this.people.filter((one) => one.standing !== 'removed' && !one.sits_with);
    const device = select('invite-device', t('people.device'), [['', t('people.device.own')], ...hosts.map((one) => [one.id, t('people.device.beside', { name: one.name })])]);
    const whom = h('div', { class: 'stack' });
    const send = h('button', { id: 'invite-send', type: 'submit', class: 'primary' }, t('people.send'));
    const form = h('form', { class: 'stack', novalidate: true }, role.node, whom, device.node, h('p', { class: 'hint' }, t('people.invite.hint')), send);
    const chosen = async () => {
      if (KIN.includes(role.input.value)) {
        refill(whom, field('invite-name', t('people.name'), { maxlength: 200, autocomplete: 'off' }), field('invite-phone', t('people.phone'), { type: 'tel', inputmode: 'tel', autocomplete: 'off' }));
        return;
      }
      const wanted = STAFF[role.input.value];
      const all = await api.pages(api.query('/v1/practitioners', { organization: this.clinic, limit: 100 }));
      const some = all.filter((one) => !wanted || one.kind === wanted);
      refill(whom, some.length ? select('invite-colleague', t('people.colleague'), some.map((one) => [one.id, one.name])).node : h('p', { class: 'hint' }, t('people.nobody')));
    };
    role.input.addEventListener('change', () => busy(send, chosen, this.problem));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      busy(send, async () => {
        const name = $('#invite-name', form)?.value.trim();
        const phone = $('#invite-phone', form)?.value.replace(/[^\d+]/g, '').replace(/^8(\d{10})$/, '+7$1');
        const practitioner = $('#invite-colleague', form)?.value;
        const made = await api.post(`${this.path}/participants`, {
          role: role.input.value, ...(phone === undefined ? { practitioner } : { name, phone }), ...(device.input.value ? { sits_with: device.input.value } : {}),
        }).catch(this.refused);
        say(t('people.invited', { name: made.name }));
        this.form.open = false;
        await this.changed();
      }, this.problem);
    });
    refill(this.form.lastElementChild, form);
    chosen();
  }
}

function select(id, label, options) {
  const input = h('select', { id, name: id }, options.map(([value, text]) => h('option', { value }, text)));
  return { input, node: h('div', { class: 'field' }, h('label', { for: id }, label), input) };
}
