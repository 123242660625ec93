/** Measures a handler behind a pattern with a parameter, in Lua and in TypeScript, against the hello of the same process. */
import { type Load, prepareLoad } from './load.ts';
import { type Measure, withServer } from './measure.ts';

/** One sample loads the hello and the routed handler of the server, in turns. */
export function routed(settings: Omit<Load, 'handler'>): Measure {
  return async (peer, bench) => {
    const isModule = peer.name === 'module';
    const measure = withServer(
      async (server) => {
        const runHello = await prepareLoad(
          server,
          { ...settings, handler: isModule ? 'module-hello' : 'hello' },
          bench,
        );
        const route: Load = isModule
          ? { ...settings, handler: 'module-route', below: '/users/7' }
          : { ...settings, handler: 'routes-1', below: '/r500/users/7' };
        const runRoute = await prepareLoad(server, route, bench);
        return async () => {
          const { cpuUs: helloCpuUs = Number.NaN } = await runHello();
          const sample = await runRoute();
          return { ...sample, helloCpuUs, timesHello: (sample['cpuUs'] ?? Number.NaN) / helloCpuUs };
        };
      },
      { further: isModule ? [] : ['routes-1'] },
    );
    return await measure(peer, bench);
  };
}
