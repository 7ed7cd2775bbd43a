# The tests' references are floats and text that a clone should hold once: the tree has them as an archive. Tests find
# them under ${RT_GOLDEN}: C as RT_TEST_GOLDEN, scripts as $RETORT_BUILD/golden.
set(RT_GOLDEN_ARCHIVE ${CMAKE_SOURCE_DIR}/tests/golden/golden.tar.xz)
set(RT_GOLDEN ${CMAKE_BINARY_DIR}/golden)

# The stamp holds the hash of the archive that was unpacked, and is written last.
set(stamp ${RT_GOLDEN}/stamp)
set(unpacked)
if(EXISTS ${stamp})
    file(READ ${stamp} unpacked)
endif()
file(SHA256 ${RT_GOLDEN_ARCHIVE} hash)
if(NOT unpacked STREQUAL hash)
    message(STATUS "Unpacking tests/golden/golden.tar.xz")
    file(REMOVE_RECURSE ${RT_GOLDEN})
    file(ARCHIVE_EXTRACT INPUT ${RT_GOLDEN_ARCHIVE} DESTINATION ${RT_GOLDEN})
    file(WRITE ${stamp} ${hash})
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${RT_GOLDEN_ARCHIVE})
