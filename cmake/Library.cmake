# libretort.a for programs that embed retort: the objects of all modules but the command line in one archive, the public
# headers, and a pkg-config file that names what else to link.
add_library(retort_library STATIC)
set_target_properties(retort_library PROPERTIES OUTPUT_NAME retort LINKER_LANGUAGE C)
foreach(module ${RT_MODULES})
    get_target_property(type rt_${module} TYPE)
    if(type STREQUAL "STATIC_LIBRARY" AND NOT module STREQUAL "cli")
        target_sources(retort_library PRIVATE $<TARGET_OBJECTS:rt_${module}>)
        target_link_libraries(retort_library INTERFACE ${RT_LIBS_${module}})
    endif()
endforeach()
target_include_directories(retort_library INTERFACE ${CMAKE_SOURCE_DIR}/include)
if(RETORT_ONEDNN)
    target_link_options(retort_library INTERFACE ${OpenMP_C_FLAGS})
    set(RETORT_PC_PRODUCTS "-ldnnl ${OpenMP_C_FLAGS}")
endif()

include(GNUInstallDirs)
# From the pkg-config file up, so that it holds wherever it is installed.
file(RELATIVE_PATH RETORT_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(packaging/retort.pc.in retort.pc @ONLY)
install(TARGETS retort_library ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/retort DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/retort.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# examples/<name>.c is a program on the public headers alone.
file(GLOB examples CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/examples/*.c)
foreach(source ${examples})
    get_filename_component(name ${source} NAME_WE)
    add_executable(example_${name} ${source})
    target_compile_options(example_${name} PRIVATE -Wall -Wextra -Werror)
    target_link_libraries(example_${name} PRIVATE retort_library)
endforeach()
