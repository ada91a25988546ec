// Sentences about cameras, microphones and loudspeakers; loaded where one of them is used.
import { learn } from './i18n.js';

learn({
  'device.title': ['Камера и звук', 'Camera and sound'],
  'device.choose': ['Выбрать камеру, микрофон, динамик', 'Choose camera, microphone, speaker'],
  'device.videoinput': ['Камера', 'Camera'],
  'device.audioinput': ['Микрофон', 'Microphone'],
  'device.audiooutput': ['Динамик', 'Speaker'],
  'device.nth': ['{kind} {n}', '{kind} {n}'],
  'device.done': ['Готово', 'Done'],
  'device.gone.audio': ['Микрофон отключился: вас не слышно. Подключите его снова или выберите другой.', 'The microphone went away: you are not heard. Plug it in again, or choose another.'],
  'device.gone.video': ['Камера отключилась: вас не видно. Подключите её снова или выберите другую.', 'The camera went away: you are not seen. Plug it in again, or choose another.'],
  'device.instead.audio': ['Микрофон отключился. Теперь вас слышно через «{name}».', 'The microphone went away. You are heard through “{name}” now.'],
  'device.instead.video': ['Камера отключилась. Теперь вас видно через «{name}».', 'The camera went away. You are seen through “{name}” now.'],
  'device.taken.audio': ['Вас слышно через «{name}».', 'You are heard through “{name}”.'],
  'device.taken.video': ['Вас видно через «{name}».', 'You are seen through “{name}”.'],
  'device.other.audio': ['Этот микрофон не открылся. Вас слышно через «{name}».', 'That microphone did not open. You are heard through “{name}”.'],
  'device.other.video': ['Эта камера не открылась: может быть, её заняла другая программа. Вас видно через «{name}».', 'That camera did not open; another program may be using it. You are seen through “{name}”.'],
  'device.refused.audio': ['Этот микрофон не открылся. Выберите другой.', 'That microphone did not open. Choose another.'],
  'device.refused.video': ['Эта камера не открылась: может быть, её заняла другая программа. Выберите другую.', 'That camera did not open; another program may be using it. Choose another.'],
  'device.absent.video': ['Камеры нет или доступ к ней закрыт: вас не видно.', 'There is no camera, or access to it is blocked: you are not seen.'],
  'device.tone': ['Проиграть звук', 'Play a tone'],
  'device.heard': ['Слышали звук?', 'Did you hear it?'],
  'device.heard.yes': ['Звук слышно.', 'The sound can be heard.'],
  'device.heard.no': ['Прибавьте громкость, проверьте наушники или выберите другой динамик.', 'Turn the volume up, look at the headphones, or choose another speaker.'],
});
