/** Kinds of specs, each selectable: `npm run jest -- --selectProjects unit`. */
const project = (displayName, testMatch, extra = {}) => ({
  displayName,
  testMatch,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleFileExtensions: ['ts', 'js', 'mjs', 'json', 'node'],
  transform: { '\\.ts$': '<rootDir>/tests/support/strip-types.js' },
  modulePathIgnorePatterns: ['<rootDir>/.cache', '<rootDir>/.demo'],
  ...extra,
});

export default {
  projects: [
    project('unit', [
      '<rootDir>/{services,cdk8s,dashboards,generate}/**/*.spec.ts',
      '<rootDir>/bench/**/!(vegeta).spec.ts',
      '<rootDir>/tests/faults/**/!(short).spec.ts',
      '<rootDir>/tests/simulation/**/*.spec.ts',
      '<rootDir>/tests/support/**/*.spec.ts',
    ]),
    // Builds the load generator first, which takes minutes.
    project('bench', ['<rootDir>/bench/**/vegeta.spec.ts']),
    project('rules', ['<rootDir>/tests/rules/**/*.spec.ts']),
    project('contract', ['<rootDir>/tests/{contract,conformance}/**/*.spec.ts']),
    project('system', ['<rootDir>/tests/system/**/*.spec.ts', '<rootDir>/tests/faults/short.spec.ts']),
    project('browser', ['<rootDir>/tests/browser/**/*.spec.ts']),
    project('fuzz', ['<rootDir>/tests/fuzz/**/*.spec.ts']),
    project('kind', ['<rootDir>/tests/kind/*.spec.ts']),
    project('under-load', ['<rootDir>/tests/kind/under-load/*.spec.ts']),
  ],
  reporters: ['default', '<rootDir>/tests/support/tally.js'],
  testTimeout: 60_000,
  // What a file of specs loaded is never let go: a worker grew to gigabytes, and stood still for seconds to look through it.
  workerIdleMemoryLimit: '600MB',
};
