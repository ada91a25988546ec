// Sentences of the link probe: for the patient who measures, and for the doctor who reads it.
import { t, learn, counted } from './i18n.js';
import { now } from './time.js';

const HOUR = 60;

learn({
  'probe.title': ['Проверка связи', 'Check my connection'],
  'probe.lead': ['Полминуты и около половины мегабайта. Проверять не обязательно: на приём можно войти и так.', 'Half a minute, and about half a megabyte. You need not do it: the visit is open to you anyway.'],
  'probe.devices': ['Камера и звук', 'Camera and sound'],
  'probe.devices.start': ['Проверить камеру и микрофон', 'Try camera and microphone'],
  'probe.camera': ['Камера', 'Camera'],
  'probe.microphone': ['Микрофон', 'Microphone'],
  'probe.speaker': ['Звук', 'Sound'],
  'probe.device.ok': ['работает', 'works'],
  'probe.device.missing': ['не найдено', 'not found'],
  'probe.device.denied': ['доступ закрыт: откройте настройки сайта рядом с адресом', 'blocked: open the site settings beside the address'],
  'probe.device.untested': ['не проверено', 'not tried'],
  'probe.level': ['Громкость вашего голоса', 'How loud your voice is'],
  'probe.line': ['Связь', 'Connection'],
  'probe.start': ['Проверить связь', 'Measure the connection'],
  'probe.again': ['Проверить ещё раз', 'Measure again'],
  'probe.back': ['Вернуться к приёму', 'Back to the visit'],
  'probe.leg.direct': ['Напрямую', 'Directly'],
  'probe.leg.relay_udp': ['Через ретранслятор (UDP)', 'Over the relay (UDP)'],
  'probe.leg.relay_tls': ['Через ретранслятор (TLS)', 'Over the relay (TLS)'],
  'probe.way.trying': ['пробуем…', 'trying…'],
  'probe.way.connected': ['есть, {ms} мс', 'works, {ms} ms'],
  'probe.way.failed': ['не проходит', 'does not pass'],
  'probe.way.untested': ['не проверено', 'not tried'],
  'probe.step.ways': ['Ищем дорогу к серверу…', 'Looking for a way to the server…'],
  'probe.step.up': ['Измеряем, сколько проходит от вас: {kbits} кбит/с', 'Measuring what passes from you: {kbits} kbit/s'],
  'probe.step.down': ['Измеряем, сколько проходит к вам: {kbits} кбит/с', 'Measuring what passes to you: {kbits} kbit/s'],
  'probe.step.voice': ['Слушаем, как прошёл бы голос…', 'Listening how a voice would pass…'],
  'probe.verdict.video': ['Видео и голос', 'Video and voice'],
  'probe.verdict.audio_photos': ['Голос и фотографии', 'Voice and photos'],
  'probe.verdict.audio_lean': ['Только голос', 'Voice only'],
  'probe.verdict.phone': ['Лучше по телефону', 'Better by telephone'],
  'probe.numbers': ['Цифры', 'Figures'],
  'probe.rtt': ['Задержка туда и обратно', 'There and back'],
  'probe.loss': ['Потери от вас и к вам', 'Lost from you and to you'],
  'probe.rate': ['Скорость от вас и к вам', 'Rate from you and to you'],
  'probe.mos': ['Качество голоса, от 1 до 4,5', 'Quality of a voice, from 1 to 4.5'],
  'probe.ms': ['{p50} мс, редко {p95} мс', '{p50} ms, seldom {p95} ms'],
  'probe.percent': ['{up} % и {down} %', '{up} % and {down} %'],
  'probe.kbits': ['{up} и {down} кбит/с', '{up} and {down} kbit/s'],
  'probe.read': ['{verdict}; измерено {ago} назад, {leg}', '{verdict}, measured {ago} ago {leg}'],
  'probe.read.none': ['{verdict}; измерено {ago} назад, связи не было', '{verdict}, measured {ago} ago, nothing passed'],
  'probe.over.direct': ['напрямую', 'directly'],
  'probe.over.relay_udp': ['через ретранслятор (UDP)', 'over relay UDP'],
  'probe.over.relay_tls': ['через ретранслятор (TLS)', 'over relay TLS'],
  'probe.side.feldsher': ['на ФАП', 'at the station'],
  'probe.trouble': ['Нет: {devices}', 'Not working: {devices}'],
  'problem.probe_off': ['Здесь связь не проверяют. Приходите на приём как обычно.', 'Connections are not measured here. Come to the visit as usual.'],
});

function ago(instant) {
  const minutes = Math.floor((now() - Date.parse(instant)) / 60_000);
  if (minutes < 1) return t('moment');
  return minutes < 2 * HOUR ? counted(minutes, 'minute') : counted(Math.round(minutes / HOUR), 'hour');
}

/** "Voice only, measured 3 minutes ago over relay UDP", as the doctor reads it before letting somebody in. */
export function probeLine(probe) {
  const verdict = t(`probe.verdict.${probe.verdict}`);
  const line = probe.measured_on
    ? t('probe.read', { verdict, ago: ago(probe.measured_at), leg: t(`probe.over.${probe.measured_on}`) })
    : t('probe.read.none', { verdict, ago: ago(probe.measured_at) });
  const broken = ['camera', 'microphone', 'speaker'].filter((name) => ['missing', 'denied'].includes(probe.devices[name]));
  return [
    probe.side === 'feldsher' ? `${line}, ${t('probe.side.feldsher')}` : line,
    broken.length ? t('probe.trouble', { devices: broken.map((name) => t(`probe.${name}`).toLowerCase()).join(', ') }) : '',
  ].filter(Boolean).join('. ');
}
