// Holds a dashboard, written in place of the marker, against Grafana's own types: tsc says what does not fit.
import type { Dashboard } from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/dashboard_types.gen';

// Strings and numbers of a JSON file stand for the members of enumerations.
type Plain<T> = T extends string
  ? `${T}`
  : T extends number
    ? number extends T ? T : `${T}` extends `${infer N extends number}` ? N : T
    : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

const dashboard: Plain<Dashboard> = /* dashboard */;
void dashboard;

// What the types must refuse; where they take one of these, they check nothing.
// @ts-expect-error a title is text
const titled: Plain<Dashboard> = { schemaVersion: 39, title: 7 };
// @ts-expect-error a panel has a place in the grid
const placed: Plain<Dashboard> = { schemaVersion: 39, panels: [{ type: 'stat', gridPos: { x: 'left', y: 0, w: 1, h: 1 } }] };
// @ts-expect-error there is no such mode
const coloured: Plain<Dashboard> = { schemaVersion: 39, panels: [{ type: 'stat', fieldConfig: { defaults: { thresholds: { mode: 'loud', steps: [] } }, overrides: [] } }] };
void [titled, placed, coloured];
