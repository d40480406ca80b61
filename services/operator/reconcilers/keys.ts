/** What waits in the queue: the platform, or one page. */
export const PLATFORM_KEY = 'topclients';
export const pageKey = (name: string): string => `pageview/${name}`;
