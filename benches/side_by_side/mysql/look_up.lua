-- Look-ups of customers by their key, prepared. Arguments: --rows.
sysbench.cmdline.options = { rows = { "Customers in the table", 1000 } }

function thread_init()
    connection = sysbench.sql.driver():connect()
    statement = connection:prepare("SELECT id, name, email, phone FROM customers WHERE id = ?")
    id = statement:bind_create(sysbench.sql.type.INT)
    statement:bind_param(id)
end

function thread_done()
    statement:close()
    connection:disconnect()
end

function event()
    id:set(sysbench.rand.uniform(1, sysbench.opt.rows))
    statement:execute()
end
