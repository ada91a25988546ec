// The code of a call, fetched when somebody is about to enter one. A browser finds a module's imports
// only when it has the module: found one after another they would take a thin line five round trips.
const PARTS = [
  'by-server', 'call', 'call-devices', 'call-ladder', 'call-tiles', 'call-verdict', 'call-view', 'call-words', 'device-check', 'device-words', 'devices',
  'doorway', 'ladder-words', 'media', 'peer', 'poll-socket', 'quality', 'role-words', 'rungs', 'side', 'signal', 'time', 'waiting',
];
let asked = false;

function askForAll() {
  if (asked) return;
  asked = true;
  for (const part of PARTS) {
    const link = document.createElement('link');
    Object.assign(link, { rel: 'modulepreload', href: new URL(`./${part}.js`, import.meta.url).href });
    document.head.append(link);
  }
}

/** The call, and the trial of the devices before it. */
export async function loadCall() {
  askForAll();
  const [call, check] = await Promise.all([import('./call.js'), import('./device-check.js')]);
  return { ...call, ...check };
}
