import { ROLES } from './roles.ts';

const [name = '', ...argv] = process.argv.slice(2);
const load = Object.hasOwn(ROLES, name) ? ROLES[name] : undefined;
if (load) {
  // Process 1 of a container is not ended by a signal that it does not listen to, and loading takes a moment.
  const leave = () => process.exit(143);
  process.on('SIGTERM', leave);
  const { role } = await load();
  const { launch } = await import('#role/role.ts');
  process.off('SIGTERM', leave);
  await launch(role, argv, process.env);
} else if (name === '--help') {
  process.stdout.write(
    `<role> [flags], where the roles are\n  ${Object.keys(ROLES).join('\n  ')}\n<role> --help tells its flags\n`,
  );
} else {
  process.stderr.write(
    `${name || 'nothing'} is not a role; the roles are ${Object.keys(ROLES).join(', ')}\n`,
  );
  process.exitCode = 2;
}
