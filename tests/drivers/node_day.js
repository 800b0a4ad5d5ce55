// node-postgres: simple and parameterised queries, named statements, cursors, notifications, errors, a pool.
// Prints a transcript that must be the same directly and through Weir. The connection comes from PG* variables.
'use strict';

const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');

const said = (...words) => console.log(...words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))));

async function attempt(label, promise) {
  try {
    await promise;
  } catch (error) {
    said(label, error.code, error.message);
    return;
  }
  throw new Error(`${label}: no error`);
}

async function main() {
  const client = new Client({ application_name: 'node day' });
  await client.connect();
  const types = await client.query('select * from every_type order by id');
  said(types.fields.map((field) => [field.name, field.dataTypeID, field.columnID > 0]));
  types.rows.forEach((row) => said(row));

  const several = await client.query('select 1 as a; select 2 as b; select 3 as c');
  said(several.map((result) => result.rows));
  for (let id = 1; id <= 5; id++) {
    const { rows } = await client.query('select id, name, email from customers where id = $1', [id]);
    said('look-up', rows);
    const named = await client.query({ name: 'ticket', text: 'select subject from tickets where id = $1', values: [id] });
    said('named', named.rows, named.command, named.rowCount);
  }
  const arrays = await client.query({ text: 'select id, tags from tickets where id < $1 order by id', values: [4], rowMode: 'array' });
  said(arrays.rows);

  await client.query('begin');
  const cursor = client.query(new Cursor('select id, email from customers where id <= $1 order by id', [130]));
  for (let rows = await cursor.read(50); rows.length > 0; rows = await cursor.read(50)) {
    said('cursor', rows.length, rows[rows.length - 1]);
  }
  await cursor.close();
  const abandoned = client.query(new Cursor('select id from articles order by id'));
  said('abandoned', (await abandoned.read(3)).length);
  await abandoned.close();
  await client.query('commit');

  await attempt('syntax', client.query('selec 1'));
  await attempt('missing', client.query('select * from no_such_table where id = $1', [1]));
  await client.query('begin');
  await attempt('constraint', client.query('insert into articles values ($1, $2, $3, null)', [1, 'x', 'x']));
  await attempt('failed transaction', client.query('select 1'));
  await client.query('rollback');

  // node-postgres queues: all are sent as the one before completes.
  const answers = await Promise.all([...Array(40).keys()].map((n) => client.query('select $1::int + 1 as n', [n])));
  said(answers.reduce((sum, answer) => sum + answer.rows[0].n, 0));

  const notices = [];
  client.on('notice', (notice) => notices.push(notice.message));
  await client.query("do $$ begin raise notice 'noted'; end $$");
  said(notices);
  const heard = new Promise((resolve) => client.on('notification', (message) => resolve([message.channel, message.payload])));
  await client.query('listen news');
  await client.query("notify news, 'hello'");
  said('heard', await heard);
  await client.end();

  const pool = new Pool({ max: 4 });
  const sums = await Promise.all([...Array(50).keys()].map((n) => pool.query('select sum(id) as s from articles where id <= $1', [n])));
  said(sums.map((result) => result.rows[0].s).slice(-3));
  await pool.end();
  said('all of it');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
