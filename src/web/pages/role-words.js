// What people are in a visit, for every page that names them.
import { learn } from './i18n.js';

learn({
  'role.patient': ['Пациент', 'Patient'],
  'role.practitioner': ['Врач', 'Doctor'],
  'role.relative': ['Родственник', 'Relative'],
  'role.feldsher': ['Фельдшер', 'Feldsher'],
  'role.specialist': ['Врач-консультант', 'Second doctor'],
  'role.interpreter': ['Переводчик', 'Interpreter'],
  'role.trainee': ['Стажёр', 'Trainee'],
});
