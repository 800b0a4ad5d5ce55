"""Reads customers through asyncpg's cursor until cut."""

import asyncio

import asyncpg


async def main():
    connection = await asyncpg.connect()
    received = 0
    try:
        async with connection.transaction():
            # A prefetch that divides the budget: asyncpg drops the rows of a batch that ends in an error.
            async for _ in connection.cursor("select id, name, email from customers order by id", prefetch=50):
                received += 1
        state = "none"
    except asyncpg.PostgresError as error:
        state = error.sqlstate
    usable = "usable" if await connection.fetchval("select count(*) from articles") == 500 else "broken"
    await connection.close()
    print(f"received {received} {state} {usable}")


asyncio.run(main())
