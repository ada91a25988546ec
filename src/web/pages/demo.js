// The demonstration's inbox: what the SMS gateway would have delivered, newest first.
import './words.js';
import { learn, t, lang, locale } from './i18n.js';
import { show, h, refill, frame, poll } from './ui.js';

learn({
  'sms.title': ['SMS демонстрации', 'Demonstration SMS'],
  'sms.lead': ['Вместо телефонов пациентов сообщения приходят сюда. Страница есть только в демонстрации.', 'Messages arrive here instead of on patients’ phones. This page exists in the demonstration only.'],
  'sms.none': ['Сообщений пока нет.', 'No messages yet.'],
});

frame(t('sms.title'));
const list = h('div', { id: 'messages', class: 'stack', 'aria-live': 'polite' });
show(h('h1', {}, t('sms.title')), h('p', { class: 'lead' }, t('sms.lead')), list);
let drawn = '';
poll(async () => {
  const answer = await fetch('/demo/sms', { headers: { 'Accept-Language': lang() }, cache: 'no-store' });
  const text = await answer.text();
  if (!answer.ok || text === drawn) return;
  drawn = text;
  const { items } = JSON.parse(text);
  const clock = new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'medium' });
  refill(list, items.length ? items.map((sms) => h('article', { class: 'card', data: { to: sms.to } },
    h('p', { class: 'spread' }, h('strong', {}, sms.to), h('time', { class: 'hint', datetime: sms.at }, clock.format(new Date(sms.at)))),
    h('p', { class: 'sms' }, sms.text))) : h('p', { id: 'no-messages', class: 'lead' }, t('sms.none')));
}, 2);
