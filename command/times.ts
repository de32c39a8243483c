/** Times as texts, in UTC. */

/** `2026-11-29`. */
export const day = (date: Date) => date.toISOString().slice(0, 10);

/** `2026-11-29 04:50`. */
export const minute = (date: Date) => date.toISOString().slice(0, 16).replace("T", " ");

/** `20261129T045023Z`, for names of files. */
export const stamp = (date: Date) => date.toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
