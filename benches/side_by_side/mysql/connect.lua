-- A login, a statement that touches nothing, a goodbye.
function thread_init()
    driver = sysbench.sql.driver()
end

function event()
    local connection = driver:connect()
    connection:query("SELECT 1")
    connection:disconnect()
end
