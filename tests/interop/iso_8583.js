// Drives iso_8583 for tests/tests/interop.rs: one JSON question per line, one answer per line.
// The argument is the folder of the library.
//
// begin  takes custom formats of iso_8583, and the shapes of the values of its fields
// read   decodes frames and encodes what they say again
// draw   encodes random messages
'use strict';

const readline = require('readline');
const Message = require(process.argv[2]);

const SHORT = 24;
// Day 28 is in every month.
const PLACES = {
  YY: [0, 99], MM: [1, 12], DD: [1, 28], hh: [0, 23], mm: [0, 59], ss: [0, 59],
};

let formats = {};
let config = {};
let rows = [];
let mtis = [];

// SplitMix64.
function source(seed) {
  let state = BigInt(seed);
  const draw = () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let mixed = BigInt.asUintN(64, (state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    return Number((mixed ^ (mixed >> 31n)) >> 32n);
  };
  const between = (low, high) => low + (draw() % (high - low + 1));
  return { between, of: (list) => list[between(0, list.length - 1)] };
}

// Mostly short; one in sixteen of any length, one in sixty-four the longest.
function length(random, { least, most, step }) {
  const kind = random.between(0, 63);
  let count = random.between(least, Math.min(most, least + SHORT));
  if (kind === 0) count = most;
  else if (kind < 5) count = random.between(least, most);
  return count - ((count - least) % step);
}

function value(random, shape) {
  let text = shape.starts.length > 0 ? random.of(shape.starts) : '';
  for (const place of shape.date.match(/../g) || []) {
    text += String(random.between(...PLACES[place])).padStart(2, '0');
  }
  if (shape.date !== '') return text;
  for (let rest = length(random, shape); rest > 0; rest--) text += random.of(shape.letters);
  return text;
}

// The secondary bitmap is always written, so one field at least is in it.
function message(random) {
  const chance = random.between(10, 250);
  const chosen = rows.filter(() => random.between(0, 999) < chance);
  const above = rows.filter(([number]) => number > 64);
  if (above.length > 0 && !chosen.some(([number]) => number > 64)) chosen.push(random.of(above));
  const drawn = { 0: random.of(mtis) };
  for (const [number, shape] of chosen) drawn[number] = value(random, shape);
  return drawn;
}

function told(content) {
  // What is packed is a copy: packing opens field 127.
  const frame = new Message({ ...content }, formats).getBufferMessage();
  if (frame.error) return { fault: frame.error };
  const { 0: mti, ...values } = content;
  return { mti, values, hex: frame.toString('hex') };
}

// Of bytes that are out of step it may throw.
function read(frame) {
  try {
    return reread(frame);
  } catch (fault) {
    return { fault: fault.message };
  }
}

function reread(frame) {
  const content = new Message({}, formats).getIsoJSON(Buffer.from(frame, 'hex'), config);
  return content.error ? { fault: content.error } : told(content);
}

function answer(question) {
  if (question.do === 'begin') {
    formats = question.spec;
    config = { bitmapEncoding: formats['1'].ContentType === 'an' ? 'utf8' : 'hex' };
    rows = Object.entries(question.rows);
    mtis = question.mtis;
    return { ready: true };
  }
  if (question.do === 'read') return { messages: question.messages.map(read) };
  const random = source(question.seed);
  const drawn = Array.from({ length: question.count }, () => message(random));
  return { messages: drawn.map(told) };
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  process.stdout.write(JSON.stringify(answer(JSON.parse(line))) + '\n');
});
