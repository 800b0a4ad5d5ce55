"""asyncpg: prepared statements in binary, cursors, transactions, COPY, listeners, time-outs.

Prints a transcript that must be the same directly and through Weir. The connection comes from PG* variables."""

import asyncio
import io

import asyncpg


def said(*words):
    print(*words, flush=True)


async def attempt(label, awaitable):
    try:
        await awaitable
    except asyncpg.PostgresError as error:
        said(label, error.sqlstate, str(error).splitlines()[0])
    else:
        raise SystemExit(f"{label}: no error")


async def main():
    connection = await asyncpg.connect(server_settings={"application_name": "asyncpg day"})
    said(await connection.fetchval("select current_setting('application_name')"))
    for row in await connection.fetch("select * from every_type order by id"):
        said(dict(row))

    statement = await connection.prepare("select id, name, email from customers where id between $1 and $2 order by id")
    said([a.name for a in statement.get_attributes()], [p.name for p in statement.get_parameters()])
    for low in (1, 100, 2990):
        rows = await statement.fetch(low, low + 9)
        said("prepared", len(rows), tuple(rows[-1]))
    for number in range(10):
        said("cached", await connection.fetchrow("select subject, status from tickets where id = $1", number + 1))

    async with connection.transaction():
        seen = [record["id"] async for record in connection.cursor("select id from customers order by id limit 320", prefetch=50)]
        said("iterated", len(seen), seen[-1])
        cursor = await connection.cursor("select id from articles order by id")
        said("skipped", await cursor.forward(5), [r["id"] for r in await cursor.fetch(4)])

    await connection.execute("create temp table loaded (id int, note text)")
    said(await connection.executemany("insert into loaded values ($1, $2)", [(n, f"note {n}") for n in range(250)]))
    said(await connection.copy_records_to_table("loaded", records=[(n, None) for n in range(1000, 2000)]))
    buffer = io.BytesIO()
    said(await connection.copy_from_query("select id, title from articles where id <= $1 order by id", 50, output=buffer))
    said(len(buffer.getvalue()), buffer.getvalue()[:30])
    said(await connection.copy_to_table("loaded", source=io.BytesIO(b"7,seven\n8,eight\n"), format="csv"))
    said(await connection.fetchval("select count(*) from loaded"))

    await attempt("syntax", connection.execute("selec 1"))
    await attempt("types", connection.fetch("select $1::int / 0", 1))
    try:
        async with connection.transaction():
            await connection.execute("insert into articles values (9300, 'x', 'x', null)")
            await connection.fetch("select * from no_such_table")
    except asyncpg.UndefinedTableError as error:
        said("transaction", error.sqlstate)
    said(await connection.fetchval("select count(*) from articles where id = 9300"))

    heard = asyncio.Event()
    payloads = []
    await connection.add_listener("news", lambda c, pid, channel, payload: (payloads.append(payload), heard.set()))
    await connection.execute("notify news, 'hello'")
    await asyncio.wait_for(heard.wait(), 10)
    said("heard", payloads)
    notices = []
    connection.add_log_listener(lambda c, message: notices.append(message.message))
    await connection.execute("do $$ begin raise notice 'noted'; end $$")
    said("notices", notices)

    # asyncpg cancels on the server when its own time-out passes.
    try:
        await connection.fetch("select pg_sleep(60)", timeout=0.3)
    except asyncio.TimeoutError:
        said("timed out")
    said("usable", await connection.fetchval("select 'yes'"))
    await connection.reset()
    await connection.close()

    async with asyncpg.create_pool(min_size=3, max_size=3) as pool:
        answers = await asyncio.gather(*(pool.fetchval("select $1::int * 2", n) for n in range(60)))
        said("pool", sum(answers))
    said("all of it")


asyncio.run(main())
