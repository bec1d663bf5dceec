# Installs BUILD into a prefix at PLACE, and records and replays with what is there: `airr record` must
# find the shim beside itself.

file(REMOVE_RECURSE ${PLACE})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PLACE}/prefix
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
set(ENV{AIRR_KEY_FILE} ${PLACE}/root.key)
set(airr ${PLACE}/prefix/bin/airr)
set(command ${airr} record -o ${PLACE}/trace.cap -- /bin/sh -c "echo $LD_PRELOAD")
foreach(run record replay)
  execute_process(COMMAND ${command} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  string(STRIP "${output}" output)
  if(NOT output STREQUAL "${PLACE}/prefix/lib/airr/libairr.so")
    message(FATAL_ERROR "airr ${run}: the session was given '${output}' for a shim")
  endif()
  set(command ${airr} replay ${PLACE}/trace.cap)
endforeach()
file(REMOVE_RECURSE ${PLACE})
