// mysql2: text and prepared, streams, several results, local files, changing the user, a pool.
// Prints a transcript that must be the same directly and through Weir. The connection comes from DB_* variables.
'use strict';

const { Readable } = require('stream');
const mysql = require('mysql2');
const promises = require('mysql2/promise');

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

async function attempt(label, promise) {
  try {
    await promise;
  } catch (error) {
    said(label, error.code, error.errno, error.sqlState, error.message);
    return;
  }
  throw new Error(`${label}: no error`);
}

async function main() {
  const client = await promises.createConnection({ ...place, multipleStatements: true });
  for (const how of ['query', 'execute']) {
    const [rows, fields] = await client[how]('select * from every_type order by id');
    said(how, fields.map((field) => [field.name, field.columnType, field.orgTable]));
    rows.forEach((row) => said(row));
    for (let id = 1; id <= 5; id++) {
      const [found] = await client[how]('select id, name, email from customers where id = ?', [id]);
      said(found);
    }
    const [echo] = await client[how]('select ? as a, ? as b, ? as c', ['naïve ☃ \\ \'', null, Buffer.from([0, 255, 39])]);
    said(echo);
    const [procedure] = await client[how]('call two_results(?)', [3]);
    said(procedure.slice(0, 2));
  }
  const [several] = await client.query('select 1 as a; set @x = 2; select @x as x; select id from articles where id < 3 order by id');
  said(several.filter(Array.isArray));
  // How many rows a stream gives before its end.
  const stream = client.connection.query('select id, body from articles order by id').stream({ highWaterMark: 5 });
  let count = 0;
  for await (const row of stream) count += row.id > 0 ? 1 : 0;
  said('streamed', count);
  // Sent one behind the other without waiting.
  const answers = await Promise.all([...Array(40).keys()].map((n) => client.query('select ? + 1 as n', [n])));
  said(answers.reduce((sum, [rows]) => sum + rows[0].n, 0));

  await client.beginTransaction();
  const [inserted] = await client.query('insert into articles (id, title, body) values ?', [[[9100, 'a', 'b'], [9101, 'c', 'd']]]);
  said(inserted.affectedRows, inserted.info);
  const file = () =>
    client.query({
      sql: "load data local infile 'from memory' into table articles",
      infileStreamFactory: () => Readable.from(['9200\tfrom memory\tbody\t2025-01-01\n', '9201\tand more\tbody\t2025-01-02\n'].map(Buffer.from)),
    });
  if (process.env.ALLOWED === 'yes') {
    const [loaded] = await file();
    said('loaded', loaded.affectedRows);
    await attempt('no file named', client.query("load data local infile 'x' into table articles"));
  } else {
    await attempt('local file', file());
  }
  await client.rollback();
  said((await client.query('select count(*) as n from articles'))[0]);

  await attempt('syntax', client.query('selec 1'));
  await attempt('missing', client.execute('select * from no_such_table where id = ?', [1]));
  await attempt('unique', client.query('insert into products select * from products where id = 1'));
  await client.ping();
  await client.changeUser({ user: 'bob', password: place.password, database: 'billing' });
  said((await client.query("select substring_index(user(), '@', 1) as who, count(*) as n from cards"))[0]);
  await client.end();

  const pool = mysql.createPool({ ...place, connectionLimit: 4 }).promise();
  const sums = await Promise.all([...Array(50).keys()].map((n) => pool.execute('select sum(id) as s from articles where id <= ?', [n])));
  said(sums.map(([rows]) => rows[0].s).slice(-3));
  await pool.end();
  said('all of it');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
