/** Stands for modules that are left out: `unused-parts.ts`. */
export {};
