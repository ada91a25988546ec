// Who may do what at a clinic, for what the pages offer; the server decides.
const OFFICE = ['registrar', 'clinic_admin'];

const holds = (me, clinic, roles) => me.memberships.some((one) => one.organization.id === clinic.id && roles.includes(one.role));

/** Whether somebody belongs to a clinic's office, which moves visits, calls them off and brings them back. */
export const isOffice = (me, clinic) => holds(me, clinic, OFFICE);

/** Whether somebody sets a clinic up. */
export const isAdmin = (me, clinic) => holds(me, clinic, ['clinic_admin']);
