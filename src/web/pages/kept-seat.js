// A seat in the waiting room that is kept while its patient only looks at other times: whoever is let in
// or rung meanwhile is brought back, and so is whoever has lost it, to read why. Nobody is heard or seen
// before they are back (`Call.hide`).
let kept = null;

const moving = ({ appointment }) => `#/move/${appointment?.id}`;
const visiting = ({ id }) => `#/visit/${id}`;

function forget() {
  kept?.ear.abort();
  kept = null;
}

/** What is being moved at this moment ends by itself, and is not looked at. */
function back() {
  if (kept && !kept.moves && location.hash === moving(kept.visit)) location.hash = visiting(kept.visit);
}

/** Whether the way leads to other times for this very visit, and the seat is kept until they are back. */
export function keepSeat(visit, call) {
  if (call.over || !call.waits || location.hash !== moving(visit)) return false;
  forget();
  const ear = new AbortController();
  const { signal } = ear;
  kept = { visit, call, ear, over: null, moves: false };
  call.hide();
  call.addEventListener('state', () => { if (call.isIn) back(); }, { signal });
  call.addEventListener('news', ({ detail }) => { if (detail === 'ringing') back(); }, { signal });
  // Whoever left it themself has nothing to read about it.
  call.addEventListener('over', ({ detail }) => { if (detail.why !== 'left-screen') { kept.over = detail; back(); } }, { signal });
  window.addEventListener('feldsher:gone', giveUpSeat, { signal });
  window.addEventListener('hashchange', () => {
    if (![moving(visit), visiting(visit)].includes(location.hash)) giveUpSeat();
  }, { signal });
  return true;
}

/** What is kept for whoever is back: {visit, call, over}, where `over` says how it ended, if it has; null for
 * whoever kept none. */
export function takeSeat(id) {
  if (kept?.visit.id !== id) return null;
  const { visit, call, over } = kept;
  forget();
  return { visit, call, over };
}

/** Where the seat is that is kept, if that is the visit of this appointment. */
export const keptAt = (appointment) => (kept?.visit.appointment?.id === appointment ? visiting(kept.visit) : null);

/** While the visit is being moved nobody is called back to it; afterwards they are, if it is still theirs. */
export function seatMoves(yes) {
  if (!kept) return;
  kept.moves = yes;
  if (kept.over || kept.call.isIn) back();
}

export function giveUpSeat() {
  const call = kept?.call;
  forget();
  call?.finish('left-screen');
}
