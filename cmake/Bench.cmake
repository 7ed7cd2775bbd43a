# bench/<name>.c is a program bench_<name> that a script of bench/ calls: on the whole program's libraries, not installed.
file(GLOB benches CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c)
foreach(source ${benches})
    get_filename_component(name ${source} NAME_WE)
    add_executable(bench_${name} ${source})
    target_link_libraries(bench_${name} PRIVATE rt_flow)
endforeach()
