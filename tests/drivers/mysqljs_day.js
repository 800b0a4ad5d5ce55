// mysql, the older client of many a web shop: text only, streams, several results, changing the user, a pool.
// Prints a transcript that must be the same directly and through Weir. The connection comes from DB_* variables.
'use strict';

const { promisify } = require('util');
const mysql = require('mysql');

const place = {
  host: process.env.DB_HOST,
  port: Number(process.env.DB_PORT),
  user: process.env.DB_USER,
  password: process.env.DB_PASSWORD,
  database: process.env.DB_NAME,
  supportBigNumbers: true,
  dateStrings: true,
};

const said = (...words) => console.log(...words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))));

async function main() {
  const client = mysql.createConnection({ ...place, multipleStatements: true });
  const call = (name) => promisify(client[name]).bind(client);
  const query = call('query');
  const attempt = async (label, sql, values) => {
    try {
      await query(sql, values);
    } catch (error) {
      said(label, error.code, error.errno, error.sqlMessage);
      return;
    }
    throw new Error(`${label}: no error`);
  };
  await call('connect')();
  (await query('select * from every_type order by id')).forEach((row) => said(row));
  for (let id = 1; id <= 5; id++) {
    said(await query('select id, name, email from ?? where id = ?', ['customers', id]));
  }
  said(await query('select ? as a, ? as b', ["naïve ☃ \\ '", null]));
  said((await query('select 1 as a; select 2 as b; call two_results(2)')).filter(Array.isArray));
  let count = 0;
  await new Promise((resolve, reject) => {
    const rows = client.query('select id, body from articles order by id');
    rows.on('error', reject).on('result', () => {
      count += 1;
      // A reader that stops now and then.
      if (count % 100 === 0) {
        client.pause();
        setImmediate(() => client.resume());
      }
    }).on('end', resolve);
  });
  said('streamed', count);
  await call('beginTransaction')();
  const inserted = await query('insert into articles set ?', { id: 9100, title: 'a', body: 'b' });
  said(inserted.affectedRows);
  await call('rollback')();
  await attempt('syntax', 'selec 1');
  await attempt('unique', 'insert into products select * from products where id = 1');
  await call('ping')();
  said((await call('statistics')()).protocol41);
  await call('changeUser')({ user: 'bob', password: place.password, database: 'billing' });
  said(await query("select substring_index(user(), '@', 1) as who, count(*) as n from cards"));
  await call('end')();

  const pool = mysql.createPool({ ...place, connectionLimit: 4 });
  const ask = promisify(pool.query).bind(pool);
  const sums = await Promise.all([...Array(50).keys()].map((n) => ask('select sum(id) as s from articles where id <= ?', [n])));
  said(sums.map((rows) => rows[0].s).slice(-3));
  await promisify(pool.end).bind(pool)();
  said('all of it');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
