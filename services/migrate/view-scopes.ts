/** The scopes that record the migrations of a view's schema: one for what is beside its rows, one for the rows. */
export const viewScopes = (schema: string): readonly [beside: string, rows: string] => [
  `${schema}.projection`,
  schema,
];
