/** Whether what waits for minutes is asked for, too: for the lease of a worker that was killed, for a database that is away. */
export const isPatient = process.env.FAULTS === "full";
