// The sentences of waiting for somebody who is not free, for the doctors' page and the office's.
import { learn } from './i18n.js';

learn({
  'claim.since': ['На {start}, ждёт с {since} ({long})', 'Planned for {start}, here since {since} ({long})'],
  'claim.minutes': ['{service}, {minutes} мин', '{service}, {minutes} min'],
  'claim.urgent': ['срочно', 'urgent'],
  'claim.silent': ['связь прервалась', 'the line is silent'],
  'because.in_visit': ['{name}: ведёт другой приём', '{name} is in another visit'],
  'because.absent': ['{name}: сейчас не принимает', '{name} is away'],
  'because.late': ['{name}: задерживается', '{name} is running late'],
  'because.not_here': ['{name}: ещё не на месте', '{name} has not come yet'],
});
