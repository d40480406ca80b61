import type { ViewPage } from '#contracts/pages.ts';
import type { ViewId } from '../api/page-view.ts';
import type { EnvironmentVariable } from './role-pod.ts';

/** Tells a role which view it works on. */
export const viewSettings = (page: ViewPage, view: ViewId): EnvironmentVariable[] => [
  { name: 'TC_PAGE', value: page },
  { name: 'TC_DELIVERY', value: view.delivery },
  { name: 'TC_VIEW_VERSION', value: String(view.version) },
];
