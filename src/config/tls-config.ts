/** From what was given for TLS to the configuration of TLS: certificates with their keys, and what clients have to show. */
import { CERTIFICATES_MAX, DEFAULT_CLIENT_VERIFY, DEFAULT_TLS_PROFILE } from '../settings/tls-settings.ts';
import type { Answers } from './answers.ts';
import type { CertificateFiles, ClientAuthorityFile, TlsConfig } from './config.ts';
import type { FileParts } from './file-parts.ts';
import { nameOption } from './option.ts';
import { OPTIONS } from './options.ts';

export function readTls(answers: Answers, { certificates }: FileParts): TlsConfig {
  const given = readCertificates(answers, certificates ?? []);
  if (given.length > CERTIFICATES_MAX)
    answers.fault(OPTIONS.cert, `names ${given.length} certificates and the limit is ${CERTIFICATES_MAX}`);
  const isStrict = answers.has(OPTIONS.strictSni);
  return {
    certificates: given,
    strictSni: isStrict,
    profile: answers.value(OPTIONS.tlsProfile) ?? DEFAULT_TLS_PROFILE,
    hsts: answers.value(OPTIONS.hsts),
    ...(answers.has(OPTIONS.ocsp) ? { ocsp: true } : {}),
  };
}

/** Those of the options take the place of those of the file. */
function readCertificates(
  answers: Answers,
  ofFile: readonly CertificateFiles[],
): readonly CertificateFiles[] {
  const { cert, key } = OPTIONS;
  if (!answers.has(cert) && !answers.has(key)) return ofFile;
  // beside the tables they are wrong already
  if (ofFile.length > 0 && (answers.at(cert) ?? answers.at(key)) !== undefined) return ofFile;
  const certificates = answers.values(cert);
  const keys = answers.values(key);
  if (certificates.length !== keys.length) {
    // one that is wrong has its own fault
    if (answers.count(cert) === answers.count(key)) return [];
    const lacking = certificates.length < keys.length ? cert : key;
    const isMissing = Math.min(certificates.length, keys.length) === 0;
    const rest = isMissing
      ? `${nameOption(lacking)} is missing`
      : `${certificates.length} certificates have ${keys.length} keys`;
    answers.faultOfBoth(cert, key, `go together, and ${rest}`);
    return [];
  }
  return certificates.map((certificate, i) => ({ certificate, key: keys[i] ?? '' }));
}

/** What clients of the main listener have to show. */
export function readClientAuthority(answers: Answers): ClientAuthorityFile | undefined {
  const ca = answers.value(OPTIONS.clientCa);
  const verify = answers.value(OPTIONS.clientVerify);
  if (!answers.has(OPTIONS.clientCa) && answers.has(OPTIONS.clientVerify))
    answers.fault(OPTIONS.clientVerify, `goes with ${nameOption(OPTIONS.clientCa)}, which is not given`);
  return ca === undefined ? undefined : { ca, verify: verify ?? DEFAULT_CLIENT_VERIFY };
}
