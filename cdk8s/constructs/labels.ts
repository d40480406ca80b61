/** What selects the pods of one workload; never changes, for selectors cannot. */
export const selectorOf = (component: string, instance: string = component) => ({
  'app.kubernetes.io/name': 'top-clients',
  'app.kubernetes.io/component': component,
  'app.kubernetes.io/instance': instance,
});

/** On every object: `managed-by` is what an operator prunes by. */
export const labelsOf = (component: string, instance: string = component) => ({
  ...selectorOf(component, instance),
  'app.kubernetes.io/part-of': 'top-clients',
  'app.kubernetes.io/managed-by': 'top-clients-operator',
});
