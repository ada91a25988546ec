// A seat in the waiting room that is kept while its patient only looks at other times: whoever is let in
// or rung meanwhile is brought back.
let kept = null;

const moving = ({ appointment }) => `#/move/${appointment?.id}`;
const visiting = ({ id }) => `#/visit/${id}`;

function forget() {
  kept?.ear.abort();
  kept = null;
}

/** Whether the way leads to other times for this very visit, and the seat is kept until they are back. */
export function keepSeat(visit, call) {
  if (call.over || !call.waits || location.hash !== moving(visit)) return false;
  forget();
  const ear = new AbortController();
  const { signal } = ear;
  kept = { visit, call, ear };
  const back = () => { if (location.hash === moving(visit)) location.hash = visiting(visit); };
  call.addEventListener('state', () => { if (call.isIn) back(); }, { signal });
  call.addEventListener('news', ({ detail }) => { if (detail === 'ringing') back(); }, { signal });
  call.addEventListener('over', () => { forget(); back(); }, { signal });
  window.addEventListener('hashchange', () => {
    if (![moving(visit), visiting(visit)].includes(location.hash)) giveUpSeat();
  }, { signal });
  return true;
}

/** The call of whoever is back; null for whoever kept none. */
export function takeSeat(id) {
  if (kept?.visit.id !== id) return null;
  const { call } = kept;
  forget();
  return call;
}

/** Where the seat is that is kept, if that is the visit of this appointment. */
export const keptAt = (appointment) => (kept?.visit.appointment?.id === appointment ? visiting(kept.visit) : null);

export function giveUpSeat() {
  const call = kept?.call;
  forget();
  call?.finish('left-screen');
}
