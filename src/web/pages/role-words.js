// What people are in a visit, for every page that names them, and who has the patient's place.
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

/** The patient, or whoever comes for one who has no part of their own; `own`: they have. */
export const hasPatientsPlace = (role, own) => role === 'patient' || (!own && ['relative', 'feldsher'].includes(role));
